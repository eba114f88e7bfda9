const request = /\b(?:build|make|create|write|design)\b[^.?!\n]*?\b(?:web\s*site|web\s*page|site|page|homepage)\b(.*)/i;

/** The topic when somebody asks for a website, else null. "Something nice" when no topic is named. */
export function websiteTopic(text: string): string | null {
  const rest = request.exec(text.replaceAll(/\s+/g, " "))?.[1];
  if (rest === undefined) return null;
  const topic = rest
    .replace(/^\W*(?:about|on|for|of|with)\b/i, "")
    .replace(/\b(?:please|thanks|thank you)\b/gi, "")
    .replace(/^[\s,:"'“]+|[\s.,!?"'”]+$/g, "");
  return topic === "" ? "something nice" : topic.slice(0, 80);
}
