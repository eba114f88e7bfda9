import type { ProcessExit } from "@aegis/protocol/control";
import { FrameType } from "@aegis/protocol/exec-frame";
import { type ChildSpec, spawnInTerminal } from "./child-process.ts";
import { type InputSink, TerminalInput } from "./exec-input.ts";
import type { ExecProcess, TakeOutput } from "./exec-process.ts";
import { TerminalFlow } from "./terminal-flow.ts";

/** How long a terminal that a left-over child holds open may be silent after its process has ended, in ms. */
const QUIET_MS = 250;
/** What is still taken after the process has ended. */
const MAX_BYTES_AFTER_EXIT = 2 * 1024 * 1024;

/** A process that leads a terminal. */
export class TerminalExec implements ExecProcess {
  readonly pid: number;
  readonly input: InputSink;
  readonly finished: Promise<ProcessExit>;
  readonly #terminal: Bun.Terminal;
  readonly #flow: TerminalFlow;
  readonly #take: TakeOutput;
  readonly #ended = Promise.withResolvers<void>();
  #holds = 0;
  #hasExited = false;
  #bytesAfterExit = 0;
  #quiet: NodeJS.Timeout | undefined;

  /** @throws GuestError `spawn_failed` */
  constructor(spec: ChildSpec, size: { cols: number; rows: number }, take: TakeOutput) {
    this.#take = take;
    const { started: child, flow } = TerminalFlow.around(() =>
      spawnInTerminal(spec, {
        ...size,
        data: (_terminal, bytes) => this.#output(bytes),
        drain: () => input.drained(),
        exit: () => this.#ended.resolve(),
      }),
    );
    const input = new TerminalInput(child.terminal);
    this.pid = child.pid;
    this.input = input;
    this.#flow = flow;
    this.#terminal = child.terminal;
    this.finished = this.#follow(child.exited);
  }

  resize(cols: number, rows: number): void {
    if (!this.#terminal.closed) this.#terminal.resize(cols, rows);
  }

  abandon(): void {
    this.#ended.resolve();
    this.#terminal.close();
  }

  async #follow(exited: Promise<ProcessExit>): Promise<ProcessExit> {
    const exit = await exited;
    this.#hasExited = true;
    this.#watchQuiet();
    await this.#ended.promise;
    clearTimeout(this.#quiet);
    if (!this.#terminal.closed) this.#terminal.close();
    return exit;
  }

  #output(bytes: Uint8Array): void {
    const busy = this.#take(FrameType.stdout, bytes);
    if (busy !== undefined) void this.#holdBack(busy);
    if (!this.#hasExited) return;
    this.#bytesAfterExit += bytes.length;
    if (this.#bytesAfterExit > MAX_BYTES_AFTER_EXIT) this.#ended.resolve();
    this.#watchQuiet();
  }

  async #holdBack(until: Promise<void>): Promise<void> {
    this.#holds += 1;
    if (this.#holds === 1) this.#flow.stop();
    await until;
    this.#holds -= 1;
    if (this.#holds > 0) return;
    this.#flow.resume();
    if (this.#hasExited) this.#watchQuiet();
  }

  #watchQuiet(): void {
    clearTimeout(this.#quiet);
    if (this.#holds === 0) this.#quiet = setTimeout(() => this.#ended.resolve(), QUIET_MS);
  }
}
