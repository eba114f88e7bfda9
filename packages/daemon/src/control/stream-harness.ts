import type { Duplex } from "node:stream";
import type { ExecHeader, HarnessState, ProcessExit, RunParams } from "@aegis/protocol/control";
import type { Knock } from "../core/dial-port.ts";
import type { Machine } from "../core/driver.ts";
import type {
  ExecSession,
  GuestRequest,
  GuestResponse,
  Harness,
  HarnessLink,
  HarnessObserver,
} from "../core/harness.ts";
import { StreamExecSession } from "./exec-session.ts";
import { harnessState, shutdownExit, startedProcess } from "./harness-claims.ts";
import { dispatchNotification } from "./notifications.ts";
import { openStream, sendEarly, toAegisError } from "./open-stream.ts";
import { requestOver } from "./port-request.ts";
import { ReverseStreams } from "./reverse-streams.ts";
import { RpcChannel } from "./rpc-channel.ts";

const CONNECT_TIMEOUT_MS = 10_000;
/** Within so much a harness answers, on the slowest of machines; one that does not is of no use. */
const ANSWER_MS = 30_000;

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
    try {
      return new StreamHarnessLink(machine, opened.stream, observer, harnessState(opened.reply.harness));
    } catch (error) {
      opened.stream.destroy();
      throw error;
    }
  }

  async exec(machine: Machine, header: ExecHeader, signal?: AbortSignal): Promise<ExecSession> {
    const opened = await openStream(machine, { kind: "exec", ...header }, signal);
    if ("refused" in opened) throw toAegisError(opened.refused.code, opened.refused.error);
    return new StreamExecSession(opened.stream);
  }

  async openPort(machine: Machine, port: number, knock: Knock = {}): Promise<Duplex | null> {
    const direct = await machine.dialPort(port, knock.signal);
    if (direct !== null) {
      if (knock.early !== undefined) await sendEarly(direct, knock.early);
      return direct;
    }
    return openGuestPort(machine, port, knock);
  }

  async request(machine: Machine, request: GuestRequest, signal: AbortSignal): Promise<GuestResponse | null> {
    // as the harness, which is on loopback: there a server may trust more than from elsewhere
    const stream = await openGuestPort(machine, request.port, { signal });
    return stream === null ? null : requestOver(stream, request, signal);
  }
}

/** @returns null when nothing listens there */
async function openGuestPort(machine: Machine, port: number, { signal, early }: Knock): Promise<Duplex | null> {
  const opened = await openStream(machine, { kind: "port", port }, signal, early);
  if (!("refused" in opened)) return opened.stream;
  if (opened.refused.code === "connection_refused") return null;
  throw toAegisError(opened.refused.code, opened.refused.error);
}

class StreamHarnessLink implements HarnessLink {
  readonly initial: HarnessState;
  readonly closed: Promise<void>;
  readonly #channel: RpcChannel;

  constructor(machine: Machine, stream: Duplex, observer: HarnessObserver, initial: HarnessState) {
    this.initial = initial;
    const streams = new ReverseStreams(machine, (stream_id, error) =>
      this.#channel.notify("stream.refused", { stream_id, error }),
    );
    this.#channel = new RpcChannel(stream, (method, params) =>
      dispatchNotification(method, params, observer, (streamId) => streams.offer(streamId)),
    );
    this.closed = this.#channel.closed;
  }

  async run(params: RunParams): Promise<{ pid: number }> {
    return startedProcess(await this.#channel.request("run", params, ANSWER_MS));
  }

  async renewToken(token: string): Promise<void> {
    await this.#channel.request("token", { token }, ANSWER_MS);
  }

  async signal(signal: string): Promise<void> {
    await this.#channel.request("signal", { signal }, ANSWER_MS);
  }

  async shutdown(graceMs: number): Promise<ProcessExit | null> {
    return shutdownExit(await this.#channel.request("shutdown", { grace_ms: graceMs }, graceMs + ANSWER_MS));
  }

  logSaved(seq: number): void {
    this.#channel.notify("log.saved", { seq });
  }

  close(): void {
    this.#channel.close();
  }
}
