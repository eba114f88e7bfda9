/** `*` stands for any run of characters; everything else for itself. */
export function globMatches(pattern: string, text: string): boolean {
  const parts = pattern.split("*");
  const first = parts.shift() ?? "";
  const last = parts.pop();
  if (last === undefined) return pattern === text;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const part of parts) {
    const found = text.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}

export const matchesAny = (patterns: readonly string[], text: string): boolean =>
  patterns.some((pattern) => globMatches(pattern, text));

/**
 * True when every text that one of `inner` matches is matched by one of `outer`. Reading the stars of an inner pattern
 * as plain characters is enough: only a star of the outer pattern can match them, and it matches any run.
 */
export const covers = (outer: readonly string[], inner: readonly string[]): boolean =>
  inner.every((pattern) => matchesAny(outer, pattern));
