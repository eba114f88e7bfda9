import type { LogLine } from "@aegis/protocol/exec";

/** OpenClaw's own words for what a model answered, and what they mean to a person. */
const MEANINGS: [pattern: RegExp, words: string][] = [
  [
    /\b401\b|unauthorized|authentication|invalid api key/i,
    "the model's provider refuses the key: aegis kit setup claw",
  ],
  [/\b403\b|permission/i, "the model's provider forbids the call: look at the account's rights"],
  [/\b404\b|model.*not.*found/i, "the provider does not know the model: aegis kit setup claw"],
  [/\b402\b|insufficient|quota|billing|credit/i, "the account at the model's provider has run out of money"],
  [/\b429\b|rate.?limit/i, "the model's provider says: too many requests; it goes on by itself"],
  [/\b5\d\d\b|overloaded|internal error/i, "the model's provider has trouble of its own; it goes on by itself"],
  [/ECONN|ENOTFOUND|EAI_AGAIN|fetch failed|timed? ?out/i, "the model's provider cannot be reached from this machine"],
  [/heap out of memory|\bOOM\b/i, "the bot ran out of memory: raise CLAW_BOT_MEMORY_MB"],
];
const ERROR = /rawError=|heap out of memory|model .*fail|LLM .*error|provider .*error/i;
const SHOWN = 160;

export interface LastError {
  /** RFC 3339 */
  at: string;
  /** as the log has it, shortened */
  raw: string;
  /** what it means, and what to do */
  words: string;
}

/** The newest line of the bot's log that speaks of a failed model call; null without one. */
export function lastError(lines: LogLine[]): LastError | null {
  const found = lines.findLast(({ line }) => ERROR.test(line));
  if (found === undefined) return null;
  const raw = /rawError=(.*)/.exec(found.line)?.[1] ?? found.line;
  const words = MEANINGS.find(([pattern]) => pattern.test(raw))?.[1] ?? "see aegis logs claw-bot";
  return { at: found.ts, raw: raw.slice(0, SHOWN), words };
}
