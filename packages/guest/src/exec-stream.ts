import type { Duplex } from "node:stream";
import type { ExecHeader, ProcessExit, StreamReply } from "@aegis/protocol/control";
import { encodeFrame, encodeTextFrame, type Frame, FrameDecoder, FrameType } from "@aegis/protocol/exec-frame";
import { signalGroup } from "./child-process.ts";
import { InputQueue } from "./exec-input.ts";
import type { ExecProcess, OutputType } from "./exec-process.ts";
import { parseJson } from "./json-shape.ts";
import { PipedExec } from "./piped-exec.ts";
import { signalNumber } from "./process-exit.ts";
import { isTerminalSize } from "./stream-header.ts";
import { TerminalExec } from "./terminal-exec.ts";

const MAX_INPUT_AHEAD_BYTES = 1024 * 1024;
/** From a hang-up to the end by force, in ms. */
const HANGUP_GRACE_MS = 2000;
/** How often a stream that is not being read is probed for whether the host is still there, in ms. */
const PROBE_MS = 1000;
const SIGHUP = 1;
const SIGKILL = 9;

export interface ExecSpec extends Pick<ExecHeader, "command" | "tty"> {
  file: string;
  cwd: string;
  env: Record<string, string>;
}

/**
 * One exec: a process and the stream that is its terminal or its pipes. A host that closes the stream, its writing
 * half included, before the exit frame hangs up.
 */
export class ExecStream {
  readonly #socket: Duplex;
  readonly #decoder = new FrameDecoder();
  readonly #process: ExecProcess;
  readonly #input: InputQueue;
  #state: "running" | "hung_up" | "done" = "running";
  #probe: NodeJS.Timeout | undefined;

  /** @throws GuestError `spawn_failed` */
  constructor(socket: Duplex, spec: ExecSpec) {
    this.#socket = socket;
    const take = (type: OutputType, bytes: Uint8Array) => this.#output(type, bytes);
    this.#process = spec.tty === null ? new PipedExec(spec, take) : new TerminalExec(spec, spec.tty, take);
    this.#input = new InputQueue(this.#process.input, MAX_INPUT_AHEAD_BYTES, () => this.#readOn());
    // the reply is written in the same turn, so it precedes every output
    this.#socket.write(`${JSON.stringify({ ok: true, pid: this.#process.pid } satisfies StreamReply)}\n`);
  }

  /** Carries the stream; settles when the process has ended. */
  async run(): Promise<void> {
    this.#socket.on("data", (chunk) => this.#receive(chunk));
    this.#socket.on("end", () => this.#hangUp());
    this.#socket.on("close", () => this.#hangUp());
    this.#socket.resume();
    const exit = await this.#process.finished;
    clearInterval(this.#probe);
    this.#input.end(); // closes the pipe; what is still queued is for nobody
    this.#finish(exit);
  }

  /** Ends the process by force. */
  kill(): void {
    signalGroup(this.#process.pid, SIGKILL);
  }

  #finish(exit: ProcessExit): void {
    const wasHungUp = this.#state === "hung_up";
    this.#state = "done";
    if (wasHungUp) return;
    this.#socket.end(encodeTextFrame(FrameType.exit, JSON.stringify(exit)));
    this.#socket.resume();
  }

  #receive(chunk: Uint8Array): void {
    if (this.#state !== "running") return;
    try {
      for (const frame of this.#decoder.push(chunk)) this.#handle(frame);
    } catch {
      return this.#hangUp(); // whatever comes after a broken frame cannot be understood
    }
    if (!this.#input.isFull) return;
    this.#socket.pause();
    this.#probe ??= setInterval(() => this.#probeHost(), PROBE_MS);
  }

  /** @throws RangeError for what a host may not send */
  #handle({ type, payload }: Frame): void {
    switch (type) {
      case FrameType.stdin:
        return this.#input.push(payload);
      case FrameType.stdinEnd:
        return this.#input.end();
      case FrameType.resize:
        return this.#resize(payload);
      case FrameType.signal:
        return this.#signal(payload);
      case FrameType.stdout:
      case FrameType.stderr:
      case FrameType.exit:
        throw new RangeError(`a host does not send frames of type ${type}`);
    }
  }

  #resize(payload: Uint8Array): void {
    const size = parseJson(new TextDecoder().decode(payload));
    if (isTerminalSize(size)) this.#process.resize(size.cols, size.rows);
  }

  #signal(payload: Uint8Array): void {
    const signal = signalNumber(new TextDecoder().decode(payload));
    if (signal !== null) signalGroup(this.#process.pid, signal);
  }

  #readOn(): void {
    clearInterval(this.#probe);
    this.#probe = undefined;
    this.#socket.resume();
  }

  /** A paused socket does not see its end; writing to it does. An empty frame says nothing to a host that is there. */
  #probeHost(): void {
    if (this.#socket.writableLength === 0) this.#socket.write(encodeFrame(FrameType.stdout));
  }

  #output(type: OutputType, bytes: Uint8Array): Promise<void> | undefined {
    if (this.#state === "hung_up" || this.#socket.destroyed || this.#socket.write(encodeFrame(type, bytes)))
      return undefined;
    return new Promise((resolve) => {
      const go = () => {
        this.#socket.off("drain", go);
        this.#socket.off("close", go);
        resolve();
      };
      this.#socket.on("drain", go);
      this.#socket.on("close", go);
    });
  }

  #hangUp(): void {
    if (this.#state !== "running") return;
    this.#state = "hung_up";
    this.#socket.destroy();
    const { pid } = this.#process;
    signalGroup(pid, SIGHUP);
    this.#process.abandon();
    setTimeout(() => signalGroup(pid, SIGKILL), HANGUP_GRACE_MS);
  }
}
