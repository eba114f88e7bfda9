import {
  type HarnessNotifications,
  type HarnessState,
  MAX_LOG_LINE_BYTES,
  type ProcessExit,
  type RunParams,
} from "@aegis/protocol/control";
import { type PipedChild, signalGroup, spawnWithoutInput } from "./child-process.ts";
import { checkCwd, resolveCommand } from "./command-path.ts";
import { LogLines } from "./log-lines.ts";
import { OutputReader } from "./output-reader.ts";
import { signalNumber } from "./process-exit.ts";

type LogEntry = HarnessNotifications["log"];

/** Where the workload's output and end go. */
export interface WorkloadSink {
  log(entries: LogEntry[]): void;
  /** a promise to wait for before more is read, null when there is no need */
  room(): Promise<void> | null;
  /** after the last line */
  exited(exit: ProcessExit): void;
}

export type WorkloadSpec = Pick<RunParams, "command" | "cwd" | "env">;

/** The one process that the instance is there for. */
export class Workload {
  readonly #sink: WorkloadSink;
  #state: HarnessState = { state: "idle" };
  #finished: Promise<ProcessExit> | null = null;

  constructor(sink: WorkloadSink) {
    this.#sink = sink;
  }

  get state(): HarnessState {
    return this.#state;
  }

  /** @throws GuestError `command_not_found`, `invalid_cwd`, `spawn_failed` */
  run(spec: WorkloadSpec): number {
    const cwd = spec.cwd ?? "/";
    checkCwd(cwd);
    const file = resolveCommand(spec.command[0] ?? "", spec.env["PATH"], cwd);
    const child = spawnWithoutInput({ ...spec, cwd, file });
    this.#state = { state: "running", pid: child.pid };
    this.#finished = this.#follow(child);
    return child.pid;
  }

  /** @returns false when no workload runs */
  signal(signal: number): boolean {
    return this.#state.state === "running" && signalGroup(this.#state.pid, signal);
  }

  /** TERM, then KILL after the grace; settles when it is gone and its output was read. */
  async stop(graceMs: number): Promise<ProcessExit | null> {
    const kill = setTimeout(() => this.signal(signalNumber("SIGKILL") ?? 9), graceMs);
    this.signal(signalNumber("SIGTERM") ?? 15);
    const exit = await this.#finished;
    clearTimeout(kill);
    return exit;
  }

  async #follow(child: Omit<PipedChild, "stdin">): Promise<ProcessExit> {
    const outputs = [new OutputReader(child.stdout), new OutputReader(child.stderr)] as const;
    const drained = Promise.all([this.#log("stdout", outputs[0]), this.#log("stderr", outputs[1])]);
    const exit = await child.exited;
    this.#state = { state: "exited", exit };
    for (const output of outputs) output.processExited();
    await drained;
    this.#sink.exited(exit);
    return exit;
  }

  async #log(stream: LogEntry["stream"], output: OutputReader): Promise<void> {
    const lines = new LogLines(MAX_LOG_LINE_BYTES);
    await output.pump((chunk) => {
      const ts = new Date().toISOString();
      this.#sink.log(lines.push(chunk).map((line) => ({ stream, line, ts })));
      return this.#sink.room() ?? undefined;
    });
    const rest = lines.rest();
    if (rest !== null) this.#sink.log([{ stream, line: rest, ts: new Date().toISOString() }]);
  }
}
