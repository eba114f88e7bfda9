import { duplexPair, type Duplex } from "node:stream";
import {
  MAX_LINE_BYTES,
  type ActivityReport,
  type ExecHeader,
  type HarnessNotifications,
  type StreamErrorCode,
  type StreamHeader,
  type StreamReply,
} from "@aegis/protocol/control";
import { FirstLine } from "@aegis/protocol/first-line";
import { FakeControl } from "./fake-control.ts";
import { serveFakeExec } from "./fake-exec.ts";
import {
  fakeCommands,
  FakeProcess,
  type FakeProcessSpec,
  type FakeProcessHost,
  type FakeService,
} from "./fake-process.ts";
import type { PauseGate } from "./pause-gate.ts";

type StreamRequest = HarnessNotifications["stream.open"];

/** The harness of a fake machine: the control protocol for real, processes by script. */
export class FakeHarness {
  readonly #gate: PauseGate;
  readonly #name: string;
  /** both ends of each open stream, by the guest's */
  readonly #streams = new Map<Duplex, Duplex>();
  readonly #services = new Map<number, FakeService>();
  readonly #asked = new Map<string, { request: StreamRequest; take: (stream: Duplex) => void }>();
  readonly #control: FakeControl;
  #nextStream = 1;
  /** the harness ended by itself, after a shutdown */
  onExit: () => void = () => undefined;

  constructor(name: string, gate: PauseGate) {
    this.#name = name;
    this.#gate = gate;
    this.#control = new FakeControl(
      gate,
      (spec, write) => this.#spawn(spec, write),
      (token) => this.#askAgain(token),
      () => this.onExit(),
    );
  }

  /** what its machine stops and lets go on */
  get gate(): PauseGate {
    return this.#gate;
  }

  /** The token that came with `run` or was renewed since; null before. */
  get token(): string | null {
    return this.#control.token;
  }

  /** Opens a stream; the host's end of it. */
  dial(): Duplex {
    const { host, guest } = this.#pair();
    void this.#serve(guest);
    return host;
  }

  /** A stream to what listens on a port, past the harness; null: nothing does. */
  dialPort(port: number): Duplex | null {
    const service = this.#services.get(port);
    if (service === undefined) return null;
    const { host, guest } = this.#pair();
    this.#serveService(guest, service);
    return host;
  }

  #pair(): { host: Duplex; guest: Duplex } {
    const [host, guest] = duplexPair();
    this.#streams.set(guest, host);
    guest.on("error", () => undefined);
    guest.once("close", () => this.#streams.delete(guest));
    host.on("error", () => undefined);
    return { host, guest };
  }

  /** Ends every stream, as the death of the machine does: what was sent before still arrives. */
  end(): void {
    this.#control.end();
    this.endStreams();
  }

  /** The machine is gone, and what runs in it may go on in another. */
  endStreams(): void {
    for (const [guest, host] of this.#streams) {
      host.once("end", () => host.destroy());
      guest.removeAllListeners("data");
      guest.resume();
      guest.end();
    }
  }

  /** Every stream that is open breaks, while the machine goes on. */
  breakStreams(): void {
    for (const host of this.#streams.values()) host.destroy();
  }

  /** The workload gets a signal from somebody inside. */
  signalWorkload(name: string): void {
    this.#control.signalWorkload(name);
  }

  reportActivity(report: ActivityReport): void {
    this.#control.notify("activity", report);
  }

  /** Asks the host for a stream, as a guest's call of the Guest API or of a binding does. */
  openStream(
    to: { kind: "guest_api" } | { kind: "binding"; binding: string },
    token = this.token ?? "",
  ): Promise<Duplex> {
    const { promise, resolve } = Promise.withResolvers<Duplex>();
    const streamId = `fake-${this.#nextStream++}`;
    const request: StreamRequest = { stream_id: streamId, token, ...to };
    this.#asked.set(streamId, { request, take: resolve });
    this.#control.notify("stream.open", request);
    return promise;
  }

  /** As the real one: what waits is told again, with the new token. */
  #askAgain(token: string): void {
    for (const { request } of this.#asked.values()) this.#control.notify("stream.open", { ...request, token });
  }

  #spawn(spec: FakeProcessSpec, write: FakeProcessHost["write"]): FakeProcess | null {
    if (!fakeCommands.includes(spec.command[0] ?? "")) return null;
    const ports: number[] = [];
    const listen = (port: number, service: FakeService): void => {
      ports.push(port);
      this.#services.set(port, service);
    };
    const process = new FakeProcess(spec, { write, listen });
    void process.exited.then(() => ports.forEach((port) => this.#services.delete(port)));
    return process;
  }

  async #serve(stream: Duplex): Promise<void> {
    const line = new FirstLine(MAX_LINE_BYTES);
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
      await this.#gate.pass();
      const first = line.push(chunk as Buffer);
      if (first === null) continue;
      if (first.rest.length > 0) stream.unshift(Buffer.from(first.rest));
      return this.#dispatch(stream, JSON.parse(first.line) as StreamHeader);
    }
  }

  #dispatch(stream: Duplex, header: StreamHeader): void {
    switch (header.kind) {
      case "control":
        return this.#control.serve(stream);
      case "port":
        return this.#servePort(stream, header.port);
      case "exec":
        return this.#serveExec(stream, header);
      case "accept":
        return this.#accept(stream, header.stream_id);
    }
  }

  #accept(stream: Duplex, streamId: string): void {
    const asked = this.#asked.get(streamId);
    if (asked === undefined) return refuse(stream, "unknown_stream", `no stream ${streamId} was asked for`);
    this.#asked.delete(streamId);
    reply(stream, { ok: true });
    asked.take(stream);
  }

  #serveExec(stream: Duplex, header: ExecHeader): void {
    if (!serveFakeExec(stream, this.#gate, (write) => this.#spawn(header, write)))
      refuse(stream, "command_not_found", `a fake machine has no command "${header.command[0]}"`);
  }

  #servePort(stream: Duplex, port: number): void {
    const service = this.#services.get(port);
    if (service === undefined) return refuse(stream, "connection_refused", `nothing listens on port ${port}`);
    reply(stream, { ok: true });
    this.#serveService(stream, service);
  }

  #serveService(stream: Duplex, service: FakeService): void {
    stream.on("data", (chunk: Buffer) => void this.#answer(stream, service, chunk));
    if (service === "echo") stream.once("end", () => stream.end());
  }

  async #answer(stream: Duplex, service: FakeService, chunk: Buffer): Promise<void> {
    await this.#gate.pass();
    if (service === "echo") stream.write(chunk);
    else stream.end(httpAnswer(`hello from ${this.#name}\n`));
  }
}

const httpAnswer = (body: string): string =>
  `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`;

const reply = (stream: Duplex, message: StreamReply): boolean => stream.write(`${JSON.stringify(message)}\n`);

function refuse(stream: Duplex, code: StreamErrorCode, error: string): void {
  reply(stream, { ok: false, code, error });
  stream.end();
  stream.resume();
}
