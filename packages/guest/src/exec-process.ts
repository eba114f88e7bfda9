import type { ProcessExit } from "@aegis/protocol/control";
import type { FrameType } from "@aegis/protocol/exec-frame";
import type { InputSink } from "./exec-input.ts";

export type OutputType = typeof FrameType.stdout | typeof FrameType.stderr;

/** Takes output. A promise: the process is held back until it settles. */
export type TakeOutput = (type: OutputType, bytes: Uint8Array) => Promise<void> | undefined;

/** A process with its input and output, behind pipes or a terminal. */
export interface ExecProcess {
  readonly pid: number;
  readonly input: InputSink;
  /** settles after the last output was taken */
  readonly finished: Promise<ProcessExit>;
  resize(cols: number, rows: number): void;
  /** From now on the output is for nobody. */
  abandon(): void;
}
