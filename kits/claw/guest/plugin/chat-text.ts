import type { WorkEnd } from "./work-progress.ts";
import type { WorkRecord } from "./work-record.ts";

const SHOWN_STEPS = 8;
const MAX_STEP = 200;
const MAX_TITLE = 120;
const MAX_ANSWER = 3000;

/** State of the newest step: still going on, or how the work ended with it. */
export type LastStep = "running" | "done" | "failed" | "stopped";

const marks: Record<LastStep, string> = { running: "⏳", done: "✓", failed: "✗", stopped: "⏹" };

/** The one message that is edited while the work goes on. */
export function progressText(work: WorkRecord, steps: readonly string[], last: LastStep): string {
  const hidden = Math.max(0, steps.length - SHOWN_STEPS);
  const shown = steps.slice(hidden).map((step) => shorten(step, MAX_STEP));
  const lines = shown.map((step, at) => `${at === shown.length - 1 ? marks[last] : "✓"} ${step}`);
  const title = `🛠 ${work.handle}: ${shorten(work.title, MAX_TITLE)}`;
  return [title, ...(hidden > 0 ? [`(${hidden} earlier steps)`] : []), ...lines].join("\n");
}

/** The last message: the only one that carries the link. */
export function endText(work: WorkRecord, end: Extract<WorkEnd, { kind: "done" }>): string {
  const took = end.seconds > 0 ? ` after ${duration(end.seconds)}` : "";
  const how = work.kind === "server" ? "is running" : `is done${took}`;
  const link = end.site && work.url !== null ? `\n\n${work.url}` : "";
  return `✅ ${work.handle} ${how}.\n${shorten(end.text.trim(), MAX_ANSWER)}${link}`;
}

export const failedText = (work: WorkRecord, reason: string): string =>
  `❌ ${work.handle} failed: ${shorten(reason.trim(), MAX_ANSWER)}`;

export const stoppedText = (work: WorkRecord): string => `⏹ ${work.handle} was stopped before it was done.`;

function duration(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds));
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

export const shorten = (text: string, max: number): string =>
  text.length <= max ? text : `${text.slice(0, max - 1)}…`;
