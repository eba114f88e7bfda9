import type { Duplex } from "node:stream";
import type { ExecHeader, HostRequests } from "@aegis/protocol/control";
import { Heartbeat } from "./activity.ts";
import { checkCwd, resolveCommand } from "./command-path.ts";
import { parseRefused, parseRun, parseSaved, parseShutdown, parseSignal, parseToken } from "./control-params.ts";
import { type ControlHandler, ControlStream } from "./control-stream.ts";
import { ExecStream } from "./exec-stream.ts";
import { guestEnv } from "./guest-env.ts";
import { GuestError } from "./guest-error.ts";
import { GuestListeners } from "./guest-listeners.ts";
import { checkUser, readAccounts } from "./guest-user.ts";
import { HostLink } from "./host-link.ts";
import { dialPort } from "./port-stream.ts";
import { ReverseStreams } from "./reverse-streams.ts";
import { RpcFailure } from "./rpc-failure.ts";
import { splice } from "./splice.ts";
import { trimMemory } from "./resident-memory.ts";
import { reply, type StreamHandlers } from "./stream-server.ts";
import { Workload } from "./workload.ts";

/** How long the last lines and the answer to `shutdown` may take to leave, in ms. */
const FAREWELL_MS = 2000;

/** When the start is over, in ms. */
const STARTED_MS = 1000;

export interface HarnessOptions {
  /** where the Guest API also listens, if that can be made */
  guestSocket: string;
  /** ends the harness */
  exit: () => void;
}

/** The host's end in the instance: runs the workload, execs, carries connections both ways. */
export class Harness implements StreamHandlers, ControlHandler {
  readonly #exit: () => void;
  readonly #link = new HostLink();
  readonly #workload = new Workload(this.#link);
  readonly #reverse = new ReverseStreams((request) => this.#link.openStream(request));
  readonly #listeners: GuestListeners;
  readonly #execs = new Set<ExecStream>();
  #control: ControlStream | null = null;
  #token = "";
  #env = guestEnv({}, null);
  #cwd = "/";
  #isStarting = false;

  constructor(options: HarnessOptions) {
    this.#exit = options.exit;
    this.#listeners = new GuestListeners(options.guestSocket, (socket, target) =>
      this.#reverse.open(socket, target, this.#token),
    );
    new Heartbeat((activity) => this.#link.activity(activity), trimMemory).start();
    setTimeout(trimMemory, STARTED_MS).unref();
  }

  // --- streams ------------------------------------------------------------------------------------------------------

  /** A new control stream replaces the old one: the daemon was restarted. */
  control(socket: Duplex): void {
    this.#control?.close();
    this.#control = new ControlStream(socket, this);
    reply(socket, { ok: true, harness: this.#workload.state });
    this.#control.start();
    this.#link.attach(this.#control);
    this.#reverse.hostArrived();
  }

  async port(socket: Duplex, port: number): Promise<void> {
    const inside = await dialPort(port);
    reply(socket, { ok: true });
    splice(socket, inside);
  }

  accept(socket: Duplex, streamId: string): void {
    const inside = this.#reverse.accept(streamId);
    if (inside === null)
      throw new GuestError("unknown_stream", "No connection in the instance waits under this id (any more).");
    reply(socket, { ok: true });
    splice(socket, inside);
  }

  async exec(socket: Duplex, header: ExecHeader): Promise<void> {
    if (header.user !== null) checkUser(header.user, ownIds(), readAccounts());
    const env = { ...this.#env, ...header.env };
    if (header.tty !== null) env["TERM"] ??= "xterm-256color";
    const cwd = header.cwd ?? this.#cwd;
    checkCwd(cwd);
    const file = resolveCommand(header.command[0] ?? "", env["PATH"], cwd);
    const exec = new ExecStream(socket, { command: header.command, tty: header.tty, file, cwd, env });
    this.#execs.add(exec);
    await exec.run();
    this.#execs.delete(exec);
  }

  // --- control ------------------------------------------------------------------------------------------------------

  async request(method: string, params: unknown): Promise<unknown> {
    switch (method) {
      case "run":
        return this.#run(params);
      case "token":
        this.#token = parseToken(params).token;
        this.#reverse.renew(this.#token);
        return {};
      case "signal":
        if (!this.#workload.signal(parseSignal(params))) throw RpcFailure.refused("No workload runs in the instance.");
        return {};
      case "shutdown":
        return this.#shutdown(parseShutdown(params).grace_ms);
      default:
        throw RpcFailure.unknownMethod(method);
    }
  }

  notification(method: string, params: unknown): void {
    if (method === "log.saved") return this.#link.saved(parseSaved(params));
    if (method !== "stream.refused") return;
    const refused = parseRefused(params);
    if (refused !== null) this.#reverse.refuse(refused.stream_id, refused.error);
  }

  drained(stream: ControlStream): void {
    if (stream === this.#control) this.#link.pump();
  }

  closed(stream: ControlStream): void {
    this.#link.detach(stream);
    if (stream === this.#control) this.#control = null;
  }

  /** Ends the workload and then the harness, for whoever asks. */
  async terminate(graceMs: number): Promise<void> {
    await this.#stopAll(graceMs);
    await this.#leave();
  }

  async #run(params: unknown): Promise<HostRequests["run"]["result"]> {
    const { command, cwd, env, token, ...ports } = parseRun(params);
    if (this.#isStarting || this.#workload.state.state !== "idle")
      throw RpcFailure.refused("The workload of this boot was started already.");
    this.#isStarting = true;
    try {
      this.#token = token;
      this.#env = guestEnv(env, ports.guest_api_port);
      this.#cwd = cwd ?? "/";
      await this.#listeners.open(ports);
      return { pid: this.#workload.run({ command, cwd, env: this.#env }) };
    } catch (thrown) {
      this.#listeners.close();
      throw thrown;
    } finally {
      this.#isStarting = false;
    }
  }

  async #shutdown(graceMs: number): Promise<HostRequests["shutdown"]["result"]> {
    const exit = await this.#stopAll(graceMs);
    setImmediate(() => void this.#leave()); // after the answer was written
    return { exit };
  }

  async #stopAll(graceMs: number) {
    const exit = await this.#workload.stop(graceMs);
    for (const exec of this.#execs) exec.kill();
    await Promise.race([this.#link.flushed(), delay(FAREWELL_MS)]);
    return exit;
  }

  async #leave(): Promise<void> {
    await Promise.race([this.#control?.end(), delay(FAREWELL_MS)]);
    this.#exit();
  }
}

const ownIds = () => ({ uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });

const delay = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
