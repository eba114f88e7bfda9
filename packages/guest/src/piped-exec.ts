import type { ProcessExit } from "@aegis/protocol/control";
import { FrameType } from "@aegis/protocol/exec-frame";
import { type ChildSpec, spawnPiped } from "./child-process.ts";
import { type InputSink, PipeInput } from "./exec-input.ts";
import type { ExecProcess, OutputType, TakeOutput } from "./exec-process.ts";
import { OutputReader } from "./output-reader.ts";

/** A process behind three pipes. */
export class PipedExec implements ExecProcess {
  readonly pid: number;
  readonly input: InputSink;
  readonly finished: Promise<ProcessExit>;
  readonly #outputs: { type: OutputType; reader: OutputReader }[];

  /** @throws GuestError `spawn_failed` */
  constructor(spec: ChildSpec, take: TakeOutput) {
    const child = spawnPiped(spec);
    this.pid = child.pid;
    this.input = new PipeInput(child.stdin);
    this.#outputs = [
      { type: FrameType.stdout, reader: new OutputReader(child.stdout) },
      { type: FrameType.stderr, reader: new OutputReader(child.stderr) },
    ];
    this.finished = this.#follow(child.exited, take);
  }

  resize(): void {
    return; // pipes have no size
  }

  abandon(): void {
    for (const { reader } of this.#outputs) reader.cancel();
  }

  async #follow(exited: Promise<ProcessExit>, take: TakeOutput): Promise<ProcessExit> {
    const drained = Promise.all(this.#outputs.map(({ type, reader }) => reader.pump((chunk) => take(type, chunk))));
    const exit = await exited;
    for (const { reader } of this.#outputs) reader.processExited();
    await drained;
    return exit;
  }
}
