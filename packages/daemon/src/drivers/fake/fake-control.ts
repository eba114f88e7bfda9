import type { Duplex } from "node:stream";
import {
  MAX_LINE_BYTES,
  type HarnessNotifications,
  type HarnessState,
  type HostRequests,
  type ProcessExit,
  type RpcError,
  type RpcMessage,
  type RunParams,
} from "@aegis/protocol/control";
import { LineSplitter } from "@aegis/protocol/line-splitter";
import type { FakeProcess, FakeProcessHost, FakeProcessSpec } from "./fake-process.ts";
import type { PauseGate } from "./pause-gate.ts";

type Answer = { result: object } | { error: RpcError };
type Spawn = (spec: FakeProcessSpec, write: FakeProcessHost["write"]) => FakeProcess | null;
type Request = { [M in keyof HostRequests]: { method: M; params: HostRequests[M]["params"] } }[keyof HostRequests];

/** The control stream of a fake harness: one at a time, the newest; what is said while there is none waits for it. */
export class FakeControl {
  readonly #gate: PauseGate;
  readonly #onToken: (token: string) => void;
  readonly #spawn: Spawn;
  readonly #onExit: () => void;
  readonly #waiting: string[] = [];
  #stream: Duplex | null = null;
  #state: HarnessState = { state: "idle" };
  #workload: FakeProcess | null = null;
  #token: string | null = null;

  constructor(gate: PauseGate, spawn: Spawn, onToken: (token: string) => void, onExit: () => void) {
    this.#gate = gate;
    this.#onToken = onToken;
    this.#spawn = spawn;
    this.#onExit = onExit;
  }

  get token(): string | null {
    return this.#token;
  }

  serve(stream: Duplex): void {
    this.#stream?.destroy();
    this.#stream = stream;
    const lines = new LineSplitter(MAX_LINE_BYTES);
    stream.write(`${JSON.stringify({ ok: true, harness: this.#state })}\n`);
    for (const line of this.#waiting.splice(0)) stream.write(line);
    stream.on("data", (chunk: Buffer) => {
      for (const line of lines.push(chunk)) void this.#receive(line);
    });
    stream.once("close", () => {
      if (this.#stream === stream) this.#stream = null;
    });
  }

  notify<M extends keyof HarnessNotifications>(method: M, params: HarnessNotifications[M]): void {
    void this.#send({ jsonrpc: "2.0", method, params });
  }

  signalWorkload(name: string): void {
    this.#workload?.signal(name);
  }

  /** The harness dies with its workload: nobody is left to tell of it. */
  end(): void {
    this.#stream = null;
    this.#workload?.signal("SIGKILL");
  }

  async #send(message: RpcMessage): Promise<void> {
    await this.#gate.pass();
    const line = `${JSON.stringify(message)}\n`;
    if (this.#stream === null) this.#waiting.push(line);
    else this.#stream.write(line);
  }

  async #receive(line: string): Promise<void> {
    await this.#gate.pass();
    const message = JSON.parse(line) as RpcMessage;
    if (!("method" in message) || !("id" in message)) return;
    const { id } = message;
    await this.#send({ jsonrpc: "2.0", id, ...(await this.#answer(message as unknown as Request)) });
    if (message.method === "shutdown") this.#onExit();
  }

  async #answer(request: Request): Promise<Answer> {
    switch (request.method) {
      case "run":
        return this.#run(request.params);
      case "token":
        this.#token = request.params.token;
        this.#onToken(request.params.token);
        return { result: {} };
      case "signal":
        this.#workload?.signal(request.params.signal);
        return { result: {} };
      case "shutdown":
        return { result: { exit: await this.#shutdown(request.params.grace_ms) } };
    }
  }

  #run(params: RunParams): Answer {
    this.#token = params.token;
    const workload = this.#spawn(params, (stream, text) => this.#log(stream, text));
    if (workload === null) {
      const why = `a fake machine has no command "${params.command[0]}"`;
      return { error: { code: -32000, message: why, data: { code: "command_not_found" } } };
    }
    this.#workload = workload;
    this.#state = { state: "running", pid: workload.pid };
    void workload.exited.then((exit) => {
      this.#state = { state: "exited", exit };
      this.notify("processExited", exit);
    });
    return { result: { pid: workload.pid } };
  }

  #log(stream: "stdout" | "stderr", text: string): void {
    for (const line of text.split("\n").slice(0, -1))
      this.notify("log", { stream, line, ts: new Date().toISOString() });
  }

  async #shutdown(graceMs: number): Promise<ProcessExit | null> {
    const workload = this.#workload;
    if (workload === null) return null;
    workload.signal("SIGTERM");
    const timer = setTimeout(() => workload.signal("SIGKILL"), graceMs);
    const exit = await workload.exited;
    clearTimeout(timer);
    return exit;
  }
}
