import type { PowerEntry } from "@aegis/protocol/instance";
import { humanAgo } from "./human-time.ts";

const SHOWN = 5;

/** `paused 3 min ago: idle for 60 s; running 10 s ago: connection to 8080`, the newest last; null when there is nothing. */
export function powerHistoryText(entries: PowerEntry[], now: number): string | null {
  if (entries.length === 0) return null;
  return entries
    .slice(-SHOWN)
    .map((entry, index, shown) => `${verbOf(entry, shown[index - 1])} ${humanAgo(entry.since, now)}: ${entry.reason}`)
    .join("; ");
}

function verbOf({ state, reason }: PowerEntry, before: PowerEntry | undefined): string {
  if (before?.state === "hibernated" && state === "starting") return "waking";
  if (state !== "running" || before === undefined) return state;
  if (before.state === "paused") return "woken";
  return reason.startsWith("pause postponed") ? "still running" : state;
}
