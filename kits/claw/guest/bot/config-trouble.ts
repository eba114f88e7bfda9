/** What the root of OpenClaw's config has, as `openclaw config schema` of the pinned version tells. */
const KNOWN: readonly string[] =
  "$schema meta env wizard diagnostics logging update telemetry browser ui secrets auth accessGroups acp models nodeHost agents worktreeRoot worktreeAcceleration tools security bindings broadcast attachments messages tts commands approvals session cron transcripts hooks channels discovery talk gateway cloudWorkers desktop memory mcp skills plugins surfaces proxy".split(
    " ",
  );

/** Keys of OpenClaw's config that it once had at the root, and refuses today. */
const LEGACY = new Set(["agent", "routing", "identity"]);

/**
 * What is wrong with a config that somebody else has written, for the log: the kit writes its own in its place, and
 * OpenClaw would not have started with this one.
 * @returns null when nothing is
 */
export function configTrouble(text: string): string | null {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return `line ${lineOfSyntaxError(error, text)} is no JSON: ${error.message}`;
  }
  if (typeof config !== "object" || config === null || Array.isArray(config)) return "line 1: it is no object";
  const odd = Object.keys(config).find((name) => !KNOWN.includes(name));
  if (odd === undefined) return null;
  const what = LEGACY.has(odd) ? "a key of older versions" : "a key that OpenClaw does not know";
  return `line ${lineOfKey(odd, text)}: "${odd}" is ${what}`;
}

function lineOfSyntaxError({ message }: SyntaxError, text: string): number {
  const told = /line (\d+)/.exec(message)?.[1];
  if (told !== undefined) return Number(told);
  const position = /position (\d+)/.exec(message)?.[1];
  return lineAt(text, position === undefined ? text.length : Number(position));
}

const lineOfKey = (key: string, text: string): number =>
  lineAt(text, Math.max(0, new RegExp(`"${key}"\\s*:`).exec(text)?.index ?? 0));

const lineAt = (text: string, position: number): number => text.slice(0, position).split("\n").length;
