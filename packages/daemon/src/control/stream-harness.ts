import type { Duplex } from "node:stream";
import type { ExecHeader, HarnessState, ProcessExit, RunParams } from "@aegis/protocol/control";
import { AegisError } from "@aegis/protocol/errors";
import type { Knock } from "../core/dial-port.ts";
import type { Machine } from "../core/driver.ts";
import type {
  ExecSession,
  GuestRequest,
  GuestResponse,
  Harness,
  HarnessLink,
  HarnessObserver,
  ReverseStream,
} from "../core/harness.ts";
import { StreamExecSession } from "./exec-session.ts";
import { dispatchNotification } from "./notifications.ts";
import { openStream, toAegisError } from "./open-stream.ts";
import { requestOver } from "./port-request.ts";
import { RpcChannel } from "./rpc-channel.ts";

const CONNECT_TIMEOUT_MS = 10_000;

/** Speaks to the harness of any backend over the streams that its machine dials. */
export class StreamHarness implements Harness {
  async connect(machine: Machine, observer: HarnessObserver, signal?: AbortSignal): Promise<HarnessLink> {
    const timeout = AbortSignal.timeout(CONNECT_TIMEOUT_MS);
    const opened = await openStream(
      machine,
      { kind: "control" },
      signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    );
    if ("refused" in opened) throw toAegisError(opened.refused.code, opened.refused.error);
    return new StreamHarnessLink(machine, opened.stream, observer, opened.reply.harness ?? { state: "idle" });
  }

  async exec(machine: Machine, header: ExecHeader, signal?: AbortSignal): Promise<ExecSession> {
    const opened = await openStream(machine, { kind: "exec", ...header }, signal);
    if ("refused" in opened) throw toAegisError(opened.refused.code, opened.refused.error);
    return new StreamExecSession(opened.stream);
  }

  async openPort(machine: Machine, port: number, knock: Knock = {}): Promise<Duplex | null> {
    const opened = await openStream(machine, { kind: "port", port }, knock.signal, knock.early);
    if (!("refused" in opened)) return opened.stream;
    if (opened.refused.code === "connection_refused") return null;
    throw toAegisError(opened.refused.code, opened.refused.error);
  }

  async request(machine: Machine, request: GuestRequest, signal: AbortSignal): Promise<GuestResponse | null> {
    const stream = await this.openPort(machine, request.port, { signal });
    return stream === null ? null : requestOver(stream, request, signal);
  }
}

class StreamHarnessLink implements HarnessLink {
  readonly initial: HarnessState;
  readonly closed: Promise<void>;
  readonly #channel: RpcChannel;

  constructor(machine: Machine, stream: Duplex, observer: HarnessObserver, initial: HarnessState) {
    this.initial = initial;
    this.#channel = new RpcChannel(stream, (method, params) =>
      dispatchNotification(method, params, observer, (streamId) => this.#reverse(machine, streamId)),
    );
    this.closed = this.#channel.closed;
  }

  run(params: RunParams): Promise<{ pid: number }> {
    return this.#channel.request("run", params);
  }

  async renewToken(token: string): Promise<void> {
    await this.#channel.request("token", { token });
  }

  async signal(signal: string): Promise<void> {
    await this.#channel.request("signal", { signal });
  }

  async shutdown(graceMs: number): Promise<ProcessExit | null> {
    return (await this.#channel.request("shutdown", { grace_ms: graceMs })).exit;
  }

  logSaved(seq: number): void {
    this.#channel.notify("log.saved", { seq });
  }

  close(): void {
    this.#channel.close();
  }

  #reverse(machine: Machine, streamId: string): ReverseStream {
    return {
      accept: async () => {
        const opened = await openStream(machine, { kind: "accept", stream_id: streamId });
        if ("refused" in opened) throw new AegisError("guest_unreachable", opened.refused.error);
        return opened.stream;
      },
      refuse: (error) => this.#channel.notify("stream.refused", { stream_id: streamId, error }),
    };
  }
}
