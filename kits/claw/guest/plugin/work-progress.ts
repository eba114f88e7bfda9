import type { LogLine } from "@aegis/protocol/exec";
import { parseWorkLine } from "../work-line.ts";

/** What the log of a work instance says about its work. A pure fold, so that a log can be read twice. */
export interface WorkProgress {
  /** oldest first; the last one is going on */
  steps: readonly string[];
  /** the last lines for people, to explain an end without a word */
  output: readonly string[];
  end: WorkEnd | null;
}

export type WorkEnd =
  | { kind: "done"; text: string; seconds: number; site: boolean }
  | { kind: "failed"; text: string; seconds: number }
  /** the process in the instance is gone without a word */
  | { kind: "exited"; code: number };

export const noProgress: WorkProgress = { steps: [], output: [], end: null };

const KEPT_OUTPUT = 5;
const EXITED = /^process exited \(code (\d+)\)/;

export function advance(progress: WorkProgress, line: LogLine): WorkProgress {
  if (progress.end !== null) return progress;
  if (line.source === "system") {
    const exited = EXITED.exec(line.line);
    return exited === null ? progress : { ...progress, end: { kind: "exited", code: Number(exited[1]) } };
  }
  if (line.source !== "boot") return progress;
  const said = parseWorkLine(line.line);
  if (said === null) return { ...progress, output: [...progress.output, line.line].slice(-KEPT_OUTPUT) };
  // a command under the runner prints its own lines beside
  if (said.claw === "progress") return { ...progress, steps: withStep(progress.steps, said.text) };
  const { text, seconds } = said;
  return {
    ...progress,
    end: said.ok ? { kind: "done", text, seconds, site: said.site } : { kind: "failed", text, seconds },
  };
}

const withStep = (steps: readonly string[], step: string): readonly string[] =>
  steps.at(-1) === step ? steps : [...steps, step];
