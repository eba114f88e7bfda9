import type { HarnessNotifications, ProcessExit } from "@aegis/protocol/control";
import type { InstanceState } from "@aegis/protocol/instance";
import { AegisError } from "@aegis/protocol/errors";
import { ActivityTimer } from "./activity-timer.ts";
import { bootInstance } from "./boot.ts";
import type { BootDeps } from "./boot.ts";
import { BootSession } from "./boot-session.ts";
import type { Machine } from "./driver.ts";
import type { HarnessObserver, ReverseStream } from "./harness.ts";
import type { InstanceJournal } from "./instance-journal.ts";
import type { InstanceRecord, Observation } from "./instance-record.ts";
import type { Logs } from "./logs.ts";
import { PullLog } from "./pull-log.ts";
import { SerialQueue } from "./serial-queue.ts";
import { TokenKeeper } from "./token-keeper.ts";
import type { TokenIssuer } from "./token-issuer.ts";

export interface LifecycleDeps extends BootDeps {
  logs: Logs;
  tokens: TokenIssuer;
  /** a process inside opened a stream to the Guest API or a binding, and its token was good */
  onStream: (request: HarnessNotifications["stream.open"], reverse: ReverseStream) => Promise<void>;
  warn: (message: string) => void;
}

type Ending = Pick<Observation, "state"> & Partial<Observation>;

export const STOP_GRACE_MS = 10_000;
const OUT_OF_MEMORY = "out of memory";
const seconds = (value: number | null): number | null => (value === null ? null : value * 1000);

/**
 * `stopped -> starting -> running -> paused -> (running | stopped)`, or `failed`. Every transition of an instance goes
 * through its queue here, so nothing races a pause with a wake.
 */
export class Lifecycle {
  /** what keeps the instance awake, and how long it has been quiet */
  readonly activity: ActivityTimer;
  readonly #journal: InstanceJournal;
  readonly #deps: LifecycleDeps;
  readonly #queue = new SerialQueue();
  #session: BootSession | null = null;
  #bootAbort = new AbortController();

  constructor(journal: InstanceJournal, deps: LifecycleDeps) {
    this.#journal = journal;
    this.#deps = deps;
    this.activity = new ActivityTimer(() => this.#onIdle());
  }

  get state(): InstanceState {
    return this.#journal.seen.state;
  }

  get machine(): Machine | null {
    return this.#session?.machine ?? null;
  }

  get lastActiveAt(): string {
    return this.#session === null ? this.#journal.seen.lastActiveAt : new Date(this.activity.lastTouch).toISOString();
  }

  /** Says `starting` at once; the promise settles when the workload runs or the boot has failed. Idempotent. */
  start(reason: string): Promise<void> {
    if (this.state === "stopped" || this.state === "failed") {
      this.#journal.transition({ state: "starting", failure: null }, reason);
    }
    return this.#queue.run(() => this.#wake(reason));
  }

  /** Ends the workload, cancels a boot. @param after runs before anything else can happen to the instance */
  stop(reason: string, graceMs: number, after: () => Promise<void> = async () => undefined): Promise<void> {
    this.#bootAbort.abort();
    return this.#queue.run(async () => {
      await this.#halt(reason, graceMs);
      await after();
    });
  }

  /** @throws AegisError `wrong_state` unless running or paused */
  pause(): Promise<void> {
    return this.#queue.run(async () => {
      if (this.state !== "running" && this.state !== "paused") throw this.wrongState("be paused");
      await this.#freeze("paused by request");
    });
  }

  /** @throws AegisError `wrong_state` unless running or paused */
  resume(): Promise<void> {
    return this.#queue.run(async () => {
      if (this.state !== "running" && this.state !== "paused") throw this.wrongState("be resumed");
      await this.#wake("resumed by request");
    });
  }

  /** Wakes a paused machine because bytes arrived on a connection that was open before the pause. */
  nudge(): void {
    this.activity.touch();
    if (this.state !== "paused") return;
    this.#inBackground(() => this.#wake("data on an open connection"));
  }

  /** The session of a running instance: wakes a paused one, boots a stopped one. @throws AegisError `wrong_state` when disabled or failed */
  async awake(reason: string): Promise<BootSession> {
    if (this.state !== "running" || !this.#queue.idle) {
      await this.#queue.run(async () => {
        const asleep = this.state === "stopped" && !this.#record.enabled;
        if (this.state === "failed" || asleep) throw this.wrongState("be woken");
        await this.#wake(reason);
      });
    }
    if (this.#session === null) throw this.wrongState("be reached");
    return this.#session;
  }

  /** After a process inside was killed: notes when the kernel did it for want of memory. */
  async checkMemory(): Promise<void> {
    if ((await this.#session?.machine.ranOutOfMemory()) === true) this.#journal.note({ failure: OUT_OF_MEMORY });
  }

  /** Takes up a machine that outlived the last daemon. */
  adopt(machine: Machine): Promise<void> {
    return this.#queue.run(async () => {
      const token = this.#tokenKeeper();
      const session = new BootSession({
        machine,
        harness: this.#deps.harness,
        observer: this.#observer(machine.boot),
        token,
      });
      this.#attach(session);
      if (await machine.isPaused()) return this.#nowPaused("the daemon came back");
      await session.connect();
      if (!session.neverRan) return this.#nowRunning("the daemon came back");
      await this.#detach(session);
      await this.#boot("the boot was interrupted by the end of the last daemon");
    });
  }

  /** Lets go of the machine, for the next daemon to take up. */
  forget(): Promise<void> {
    return this.#queue.run(async () => {
      this.activity.stop();
      this.#session?.forget();
      this.#session = null;
    });
  }

  /** After a daemon restart without a machine to adopt. */
  settleWithoutMachine(): void {
    if (this.state === "stopped" || this.state === "failed") return;
    this.#nowStopped({ state: "stopped" }, "its machine was gone when the daemon came back");
  }

  // --- transitions, inside the queue --------------------------------------------------------------------------------

  async #wake(reason: string): Promise<void> {
    if (this.state === "running") return;
    if (this.#session === null) return this.#boot(reason);
    await this.#session.machine.resume();
    await this.#session.connect();
    this.#nowRunning(reason);
  }

  async #boot(reason: string): Promise<void> {
    this.#bootAbort = new AbortController();
    const boot = this.#boots + 1;
    const patch = { state: "starting", boot, exitCode: null, failure: null, stoppedAt: null } as const;
    if (this.state === "starting") this.#journal.note(patch);
    else this.#journal.transition(patch, reason);
    const pullLog = new PullLog((message) => this.#journal.progress(message));
    const [token, observer] = [this.#tokenKeeper(), this.#observer(boot)];
    try {
      const { machine, link } = await bootInstance(this.#deps, {
        record: this.#record,
        boot,
        observer,
        token: await token.first(),
        onPull: (progress) => pullLog.add(progress),
        onImage: (image) => this.#journal.note({ imageDigest: image.digest }),
        signal: this.#bootAbort.signal,
      });
      const session = new BootSession({ machine, harness: this.#deps.harness, observer, token });
      this.#attach(session);
      await session.use(link);
      this.#nowRunning(reason);
    } catch (error) {
      if (this.#session !== null) await this.#detach(this.#session);
      this.#bootFailed(error);
      throw error;
    }
  }

  #bootFailed(error: unknown): void {
    const cancelled = this.#bootAbort.signal.aborted;
    const failure = cancelled ? null : error instanceof Error ? error.message : String(error);
    const reason = cancelled ? "the start was cancelled" : `boot failed: ${failure}`;
    this.#journal.say(reason);
    this.#nowStopped({ state: cancelled ? "stopped" : "failed", failure }, reason);
  }

  async #freeze(reason: string): Promise<void> {
    if (this.state !== "running" || this.#session === null) return;
    await this.#session.machine.pause();
    this.#nowPaused(reason);
  }

  async #halt(reason: string, graceMs: number): Promise<void> {
    const session = this.#session;
    if (session !== null) {
      await session.machine.resume();
      const exit = await session.shutDown(graceMs);
      await this.#detach(session);
      this.#journal.say(exit === null ? `stopped: ${reason}` : `process exited (code ${exit.code}): ${reason}`);
      this.#journal.note({ exitCode: exit?.code ?? null });
    }
    if (this.state !== "stopped") this.#nowStopped({ state: "stopped" }, reason);
  }

  #nowRunning(reason: string): void {
    this.#journal.transition({ state: "running" }, reason);
    this.activity.start(seconds(this.#record.spec.pause_after_idle_s));
  }

  #nowPaused(reason: string): void {
    this.#journal.transition({ state: "paused", lastActiveAt: this.lastActiveAt }, reason);
    this.activity.start(seconds(this.#record.spec.stop_after_paused_s));
  }

  #nowStopped(patch: Ending, reason: string): void {
    this.#journal.transition({ ...patch, stoppedAt: new Date().toISOString() }, reason);
  }

  #attach(session: BootSession): void {
    this.#session = session;
    void session.machine.exited.then((exit) =>
      this.#end(session.machine.boot, async () => {
        const failure = exit.outOfMemory ? OUT_OF_MEMORY : "the machine ended unexpectedly";
        this.#journal.say(failure);
        return { state: "failed", failure };
      }),
    );
  }

  async #detach(session: BootSession): Promise<void> {
    this.#journal.note({ lastActiveAt: this.lastActiveAt });
    this.#session = null;
    this.activity.stop();
    await session.end();
  }

  /** Ends the life of one boot, once: whoever comes second (exit of the process, end of the machine) finds it gone. */
  #end(boot: number, outcome: (session: BootSession) => Promise<Ending>): Promise<void> {
    return this.#queue.run(async () => {
      const session = this.#session;
      if (session === null || session.machine.boot !== boot) return;
      const patch = await outcome(session);
      await this.#detach(session);
      this.#nowStopped(patch, patch.failure ?? `exited with code ${patch.exitCode}`);
    });
  }

  // --- what the harness and the clock say ---------------------------------------------------------------------------

  #observer(boot: number): HarnessObserver {
    return {
      log: ({ stream, line, ts }) => this.#deps.logs.append(this.#record.id, { ts, stream, source: "boot", line }),
      logDropped: (lines) => this.#journal.say(`${lines} lines were dropped because nobody took them in time`),
      activity: () => {
        if (this.#record.spec.idle_policy === "default") this.activity.touch();
      },
      processExited: (exit) => void this.#onProcessExited(boot, exit),
      streamOpened: (request, reverse) => void this.#onStreamOpened(boot, request, reverse),
    };
  }

  /** Through the queue, because a short workload ends before its boot is done. */
  #onProcessExited(boot: number, exit: ProcessExit): Promise<void> {
    return this.#end(boot, async ({ machine }) => {
      const outOfMemory = exit.code !== 0 && (await machine.ranOutOfMemory());
      this.#journal.say(`process exited (code ${exit.code})${outOfMemory ? `: ${OUT_OF_MEMORY}` : ""}`);
      return outOfMemory
        ? { state: "failed", exitCode: exit.code, failure: OUT_OF_MEMORY }
        : { state: "stopped", exitCode: exit.code };
    });
  }

  async #onStreamOpened(
    boot: number,
    request: HarnessNotifications["stream.open"],
    reverse: ReverseStream,
  ): Promise<void> {
    const current = boot === this.#boots && (await this.#deps.tokens.verify(request.token, this.#record.id, boot));
    if (!current) return reverse.refuse("the capability token is not that of this boot");
    await this.#deps.onStream(request, reverse);
  }

  #onIdle(): void {
    const { spec } = this.#record;
    const act = async () => {
      if (this.activity.holds > 0) return;
      if (this.state === "running") await this.#freeze(`idle for ${spec.pause_after_idle_s} s`);
      else if (this.state === "paused") await this.#halt(`paused for ${spec.stop_after_paused_s} s`, STOP_GRACE_MS);
    };
    this.#inBackground(act);
  }

  #inBackground(task: () => Promise<void>): void {
    this.#queue.run(task).catch((error: unknown) => this.#deps.warn(`${this.#record.id}: ${String(error)}`));
  }

  get #record(): InstanceRecord {
    return this.#journal.record;
  }

  /** generation of the newest boot */
  get #boots(): number {
    return this.#journal.seen.boot;
  }

  #tokenKeeper(): TokenKeeper {
    return new TokenKeeper(this.#deps.tokens, this.#record.id, this.#boots, () => this.#record.grant);
  }

  wrongState(verb: string): AegisError {
    const { state, failure } = this.#journal.seen;
    const why = failure === null ? (this.#record.enabled ? "" : " and disabled") : ` (${failure})`;
    return new AegisError(
      "wrong_state",
      `${this.#record.handle} is ${state}${why}, so it cannot ${verb}. Start it with: aegis instance start ${this.#record.handle}`,
    );
  }
}
