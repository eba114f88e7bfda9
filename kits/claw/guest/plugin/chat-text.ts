import { durationText } from "./duration.ts";
import type { WorkProgress } from "./work-progress.ts";
import type { WorkRecord } from "./work-record.ts";
import type { Outcome } from "./work-watcher.ts";

const SHOWN_STEPS = 8;
const MAX_STEP = 200;
const MAX_TITLE = 120;
const MAX_ANSWER = 3000;

/** State of the newest step: still going on, or how the work ended with it. */
export type LastStep = "running" | Outcome["kind"];

const marks: Record<LastStep, string> = { running: "⏳", done: "✓", failed: "✗", stopped: "⏹" };

/** The one message that is edited while the work goes on. */
export function progressText(work: WorkRecord, { steps, output }: WorkProgress, last: LastStep): string {
  const hidden = Math.max(0, steps.length - SHOWN_STEPS);
  const shown = steps.slice(hidden).map((step) => shorten(step, MAX_STEP));
  const lines = shown.map((step, at) => `${at === shown.length - 1 ? marks[last] : "✓"} ${step}`);
  const printed = work.kind === "task" ? undefined : output.at(-1);
  return [
    `🛠 ${work.handle}: ${shorten(work.title, MAX_TITLE)}`,
    ...(hidden > 0 ? [`(${hidden} earlier ${hidden === 1 ? "step" : "steps"})`] : []),
    ...lines,
    ...(printed === undefined ? [] : [`› ${shorten(printed, MAX_STEP)}`]),
  ].join("\n");
}

/** What the chat is told beside how the work ended. */
export interface EndFacts {
  /** to the site, if there is something to look at */
  link: string | null;
  /** tokens and cost; null where no model was used */
  usage: string | null;
}

/** The last message: the only one that carries the link. */
export function outcomeText(work: WorkRecord, outcome: Outcome, { link, usage }: EndFacts): string {
  const spent = [outcome.seconds > 0 ? durationText(outcome.seconds) : null, usage].filter((part) => part !== null);
  const took = spent.length === 0 ? "" : ` after ${spent.join(", ")}`;
  switch (outcome.kind) {
    case "done": {
      const how = work.kind === "server" ? "is running" : `is done${took}`;
      return `✅ ${work.handle} ${how}.\n${shorten(outcome.text.trim(), MAX_ANSWER)}${link === null ? "" : `\n\n${link}`}`;
    }
    case "failed":
      return `❌ ${work.handle} failed${took}: ${shorten(outcome.reason.trim(), MAX_ANSWER)}`;
    case "stopped":
      return `⏹ ${work.handle} was stopped${took}, before it was done.`;
  }
}

export const shorten = (text: string, max: number): string =>
  text.length <= max ? text : `${text.slice(0, max - 1)}…`;
