import { HEARTBEAT_MS } from "@aegis/protocol/control";
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
import { MachineDisposal } from "./machine-disposal.ts";
import { LogIntake } from "./log-intake.ts";
import type { Logs } from "./logs.ts";
import { PausedMemory } from "./paused-memory.ts";
import { PauseConsent } from "./pause-consent.ts";
import { PullLog } from "./pull-log.ts";
import { RestartTimer } from "./restart-timer.ts";
import type { RunEnd } from "./restart-timer.ts";
import { SerialQueue } from "./serial-queue.ts";
import { TokenKeeper } from "./token-keeper.ts";
import type { TokenIssuer } from "./token-issuer.ts";
import { pauseRefused, wrongState } from "./wrong-state.ts";

export interface LifecycleDeps extends BootDeps {
  logs: Logs;
  tokens: TokenIssuer;
  /** a process inside opened a stream to the Guest API or a binding, and its token was good */
  onStream: (request: HarnessNotifications["stream.open"], reverse: ReverseStream) => Promise<void>;
  warn: (message: string) => void;
  /** changes with every boot of the host */
  hostBoot: string;
  /** a boot is over, and all that its processes had asked for */
  onBootOver: () => void;
}

type Ending = Pick<Observation, "state"> & Partial<Observation>;

export const STOP_GRACE_MS = 10_000;
const RECLAIM_AFTER_MS = 2_000;
/** At the latest then a workload that was busy is asked again. */
const LONGEST_POSTPONEMENT_MS = 60_000;
const OUT_OF_MEMORY = "out of memory";
/** how long a harness that is busy may take to say so */
const HEARTBEAT_GRACE_MS = HEARTBEAT_MS * 1.2;
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
  readonly #disposal: MachineDisposal;
  readonly #memory: PausedMemory;
  readonly #consent: PauseConsent;
  readonly #restarts = new RestartTimer(() => this.#restart());
  #session: BootSession | null = null;
  #bootAbort = new AbortController();
  /** callers of {@link reach} that do not have yet what they came for */
  #reaching = 0;
  #removal: Promise<void> | null = null;

  constructor(journal: InstanceJournal, deps: LifecycleDeps) {
    this.#journal = journal;
    this.#deps = deps;
    this.#disposal = new MachineDisposal(deps.warn);
    this.activity = new ActivityTimer(() => this.#onIdle());
    this.#consent = new PauseConsent(journal, deps.harness);
    this.#memory = new PausedMemory({
      afterMs: RECLAIM_AFTER_MS,
      onReclaimed: (memory) => journal.reclaimed(memory),
      warn: deps.warn,
    });
  }

  get state(): InstanceState {
    return this.#journal.seen.state;
  }

  get machine(): Machine | null {
    return this.#session?.machine ?? null;
  }

  get lastActiveAt(): string {
    const active = this.#session !== null && this.state !== "paused";
    return active ? new Date(this.activity.lastTouch).toISOString() : this.#journal.seen.lastActiveAt;
  }

  /** Says `starting` at once; the promise settles when the workload runs or the boot has failed. Idempotent. */
  async start(reason: string): Promise<void> {
    this.#restarts.reset();
    return this.#start(reason);
  }

  /** Ends the workload, cancels a boot. */
  stop(reason: string, graceMs: number, after?: () => Promise<void>): Promise<void> {
    this.#restarts.reset();
    this.#bootAbort.abort();
    return this.#queue.run(async () => {
      await this.#halt(reason, graceMs);
      await after?.();
    });
  }

  /**
   * Stops for good: from now on everything that would wake the instance is refused.
   * @param after runs when no machine is left; when it fails, the instance is as it was, but stopped
   */
  remove(after: () => Promise<void>): Promise<void> {
    this.#restarts.reset();
    this.#bootAbort.abort();
    this.#removal ??= this.#queue.run(async () => {
      try {
        await this.#halt("deleted", 0);
        await this.#disposal.clear();
        await after();
      } catch (error) {
        this.#removal = null;
        throw error;
      }
    });
    return this.#removal;
  }

  /** True from when it is to be deleted. */
  get removed(): boolean {
    return this.#removal !== null;
  }

  /**
   * @param force without asking the workload
   * @throws AegisError `wrong_state` unless running or paused, and when the workload says that it is busy
   */
  async pause(force = false): Promise<void> {
    this.#refuseRemoved();
    const session = this.#session;
    if (!force && session !== null && this.#isUp(session) && this.#consent.needed) {
      const busy = await this.#consent.ask(session);
      if (busy !== null) throw pauseRefused(this.#record, busy);
    }
    return this.#queue.run(async () => {
      if (this.state !== "running" && this.state !== "paused") throw this.wrongState("be paused");
      await this.#freeze("paused by request").finally(() => this.#tellResumed());
    });
  }

  /** Takes up what has changed in the spec. */
  respec(): void {
    const { pause_after_idle_s, stop_after_paused_s, restart } = this.#record.spec;
    if (restart === "no" && this.#journal.seen.restartAt !== null) {
      this.#restarts.reset();
      this.#journal.transition({ restartAt: null }, "its restart policy was switched off");
    }
    if (this.#session === null) return;
    if (this.state === "running") this.activity.change(seconds(pause_after_idle_s));
    if (this.state === "paused") this.activity.change(seconds(stop_after_paused_s));
  }

  /** @throws AegisError `wrong_state` unless running or paused */
  async resume(): Promise<void> {
    this.#refuseRemoved();
    return this.#queue.run(async () => {
      if (this.state !== "running" && this.state !== "paused") throw this.wrongState("be resumed");
      await this.#wake("resumed by request");
    });
  }

  /** Wakes a paused machine because bytes arrived on a connection that was open before the pause. */
  nudge(): void {
    this.activity.touch();
    this.wakePaused("data on an open connection");
  }

  /** Wakes a paused machine behind everything that is going on; one in any other state stays as it is. */
  wakePaused(reason: string): void {
    if (this.state !== "paused" || this.removed) return;
    this.#inBackground(async () => {
      if (this.state === "paused") await this.#wake(reason);
    });
  }

  /**
   * The session of a running instance: wakes a paused one, boots a stopped one if it may.
   * @throws AegisError `wrong_state` when disabled or failed
   */
  async awake(reason: string, mayBoot = true): Promise<BootSession> {
    this.#refuseRemoved();
    if (this.state !== "running" || !this.#queue.idle) {
      await this.#queue.run(async () => {
        const asleep = this.state === "stopped" && !(this.#record.enabled && mayBoot);
        const failed = this.state === "failed" && this.#journal.seen.restartAt === null;
        if (failed || asleep) throw this.wrongState("be woken");
        await this.#wake(reason);
      });
    }
    if (this.#session === null) throw this.wrongState("be reached");
    return this.#session;
  }

  /** Does something with a running machine. A pause that comes in between counts as one that came before. */
  async reach<T>(reason: string, act: (session: BootSession) => Promise<T>, mayBoot = true): Promise<T> {
    this.#reaching += 1;
    try {
      return await act(await this.awake(reason, mayBoot));
    } finally {
      this.#reaching -= 1;
    }
  }

  /** After a process inside was killed: notes when the kernel did it for want of memory. */
  async checkMemory(): Promise<void> {
    if ((await this.#session?.machine.ranOutOfMemory()) === true) this.#journal.note({ failure: OUT_OF_MEMORY });
  }

  /** Takes up a machine that outlived the last daemon. */
  adopt(machine: Machine): Promise<void> {
    return this.#queue.run(async () => {
      const token = this.#tokenKeeper(machine.boot);
      const saved = await this.#deps.logs.newestSeq(this.#record.id, machine.boot);
      const session = new BootSession({
        machine,
        harness: this.#deps.harness,
        observer: this.#observer(machine.boot, saved),
        token,
        warn: this.#deps.warn,
      });
      const { wanted, pausedAt, lastActiveAt } = this.#journal.seen;
      this.activity.start(null, Date.parse(lastActiveAt));
      this.#attach(session);
      if (wanted === "stopped") return this.#halt("it was to stop when the last daemon ended", STOP_GRACE_MS);
      if (await machine.isPaused()) return this.#nowPaused("the daemon came back", pausedAt ?? lastActiveAt);
      await this.#connect(session);
      if (!session.neverRan) return this.#nowRunning("the daemon came back", this.#quietSince());
      await this.#detach(session);
      await this.#boot("the boot was interrupted by the end of the last daemon");
    });
  }

  /** Lets go of the machine, for the next daemon to take up. */
  forget(): Promise<void> {
    this.#restarts.cancel();
    return this.#queue.run(async () => {
      this.save();
      this.activity.stop();
      await this.#memory.end();
      this.#session?.forget();
      this.#session = null;
    });
  }

  /**
   * After a daemon restart without a machine to adopt.
   * @returns true when it is to be started again: its boot was cut short, or it ran when the host went down
   */
  settleWithoutMachine(): boolean {
    const { state, wanted, hostBoot, restartAt } = this.#journal.seen;
    const { restart } = this.#record.spec;
    const rebooted = hostBoot !== null && hostBoot !== this.#deps.hostBoot;
    const again =
      this.#record.enabled && wanted === "running" && (state === "starting" || rebooted || restart !== "no");
    if (restartAt !== null) this.#restarts.arm(Date.parse(restartAt) - Date.now());
    if (state === "stopped" || state === "failed") return false;
    this.#deps.onBootOver();
    const why = rebooted ? "the host was started anew" : "its machine was gone when the daemon came back";
    if (again) this.#journal.transition({ state: "starting" }, why);
    else this.#nowStopped({ state: "stopped" }, why);
    return again;
  }

  /** Writes down what a next daemon needs to go on from here. */
  save(): void {
    if (!this.removed) this.#journal.save(this.lastActiveAt);
  }

  // --- transitions, inside the queue --------------------------------------------------------------------------------

  #start(reason: string): Promise<void> {
    this.#refuseRemoved();
    if (this.state === "stopped" || this.state === "failed") {
      this.#journal.transition({ state: "starting", failure: null, wanted: "running", restartAt: null }, reason);
    }
    return this.#queue.run(() => this.#wake(reason));
  }

  async #wake(reason: string): Promise<void> {
    if (this.state === "running") return;
    if (this.#session === null) return this.#boot(reason);
    await this.#memory.end();
    await this.#session.machine.resume();
    await this.#connect(this.#session);
    this.#nowRunning(reason);
  }

  /** A machine whose harness does not answer is of no use to anybody. */
  async #connect(session: BootSession): Promise<void> {
    try {
      await session.connect();
    } catch (error) {
      const failure = `its harness does not answer: ${error instanceof Error ? error.message : String(error)}`;
      this.#journal.say(failure);
      await this.#detach(session);
      this.#nowStopped({ state: "failed", failure }, failure);
      throw error;
    }
  }

  async #boot(reason: string): Promise<void> {
    this.#restarts.cancel();
    this.#bootAbort = new AbortController();
    const boot = this.#boots + 1;
    if (this.state !== "starting") this.#journal.transition({ state: "starting", wanted: "running" }, reason);
    const pullLog = new PullLog((message) => this.#journal.progress(message));
    const [token, observer] = [this.#tokenKeeper(boot), this.#observer(boot)];
    let made: Machine | null = null;
    try {
      await this.#disposal.clear();
      const { hostBoot } = this.#deps;
      const fresh = { exitCode: null, failure: null, stoppedAt: null, pausedAt: null, restartAt: null, agreed: null };
      this.#journal.commit({ boot, hostBoot, ...fresh });
      const { machine, link } = await bootInstance(this.#deps, {
        record: this.#record,
        boot,
        observer,
        token: await token.first(),
        onPull: (progress) => pullLog.add(progress),
        onImage: (image) => this.#journal.note({ imageDigest: image.digest }),
        onMachine: (booted) => {
          made = booted;
        },
        signal: this.#bootAbort.signal,
      });
      const session = new BootSession({ machine, harness: this.#deps.harness, observer, token, warn: this.#deps.warn });
      this.#attach(session);
      await session.use(link);
      this.#nowRunning(reason);
    } catch (error) {
      await this.#abandon(made);
      this.#bootFailed(error);
      throw this.#bootAbort.signal.aborted ? this.wrongState("finish its start: it was stopped meanwhile") : error;
    }
  }

  /** What is left of a boot that failed. The boot's failure is what counts. */
  async #abandon(machine: Machine | null): Promise<void> {
    if (this.#session !== null) this.#leave(this.#session);
    if (machine === null) return;
    await this.#disposal
      .end(machine)
      .catch((error: unknown) => this.#deps.warn(`${this.#record.id}: ${String(error)}`));
  }

  #bootFailed(error: unknown): void {
    const cancelled = this.#bootAbort.signal.aborted;
    const failure = cancelled ? null : error instanceof Error ? error.message : String(error);
    const reason = cancelled ? "the start was cancelled" : `boot failed: ${failure}`;
    this.#journal.say(reason);
    if (cancelled) return this.#nowStopped({ state: "stopped", failure }, reason);
    const passing = !(error instanceof AegisError) || error.status >= 500;
    this.#nowEnded({ state: "failed", failure }, reason, { kind: "boot_failed", passing });
  }

  async #freeze(reason: string): Promise<void> {
    if (this.state !== "running" || this.#session === null) return;
    await this.#session.machine.pause();
    this.#nowPaused(reason, new Date().toISOString());
    if (this.#reaching > 0) await this.#wake("somebody was on the way in");
  }

  async #halt(reason: string, graceMs: number): Promise<void> {
    this.#restarts.reset();
    const session = this.#session;
    if (session !== null) {
      this.#journal.note({ wanted: "stopped" });
      await this.#memory.end();
      const exit = await this.#endWorkload(session, graceMs);
      await this.#detach(session);
      this.#journal.say(exit === null ? `stopped: ${reason}` : `process exited (code ${exit.code}): ${reason}`);
      this.#journal.note({ exitCode: exit?.code ?? null });
    }
    await this.#disposal.kill();
    const settled = this.state === "stopped" && this.#journal.seen.restartAt === null;
    if (!settled) this.#nowStopped({ state: "stopped" }, reason);
  }

  /** @returns null when nobody in there can be asked: then the end of the machine is its end */
  async #endWorkload(session: BootSession, graceMs: number): Promise<ProcessExit | null> {
    try {
      await session.machine.resume();
      await session.connect();
      return await session.shutDown(graceMs);
    } catch (error) {
      this.#journal.say(`could not be asked to end: ${error instanceof Error ? error.message : String(error)}`);
      return null;
    }
  }

  #nowRunning(reason: string, since?: number): void {
    this.#journal.transition({ state: "running", wanted: "running", pausedAt: null }, reason);
    this.activity.start(seconds(this.#record.spec.pause_after_idle_s), since);
    this.#tellResumed();
  }

  #nowPaused(reason: string, pausedAt: string): void {
    this.#journal.transition({ state: "paused", wanted: "paused", lastActiveAt: this.lastActiveAt, pausedAt }, reason);
    this.activity.start(seconds(this.#record.spec.stop_after_paused_s), Date.parse(pausedAt));
    if (this.#session !== null) this.#memory.begin(this.#session.machine);
  }

  #nowStopped(patch: Ending, reason: string): void {
    const stoppedAt = new Date().toISOString();
    this.#journal.transition({ restartAt: null, ...patch, wanted: "stopped", stoppedAt, pausedAt: null }, reason);
  }

  /** It ended without anybody asking for that: the restart policy has the word. */
  #nowEnded(patch: Ending, reason: string, end: RunEnd): void {
    const { restart } = this.#record.spec;
    const waitMs = this.#record.enabled ? this.#restarts.delayAfter(restart, end) : null;
    if (waitMs === null) return this.#nowStopped(patch, reason);
    const restartAt = new Date(Date.now() + waitMs).toISOString();
    this.#nowStopped({ ...patch, restartAt }, `${reason}; starts again in ${waitMs / 1000} s (restart: ${restart})`);
    if (!this.removed) this.#restarts.arm(waitMs);
  }

  /** While there was no daemon, nobody heard the heartbeats: before it counts as idle, one is waited for. */
  #quietSince(): number {
    const { spec } = this.#record;
    const limit = seconds(spec.pause_after_idle_s) ?? 0;
    const heard = spec.idle_policy === "default" ? Date.now() - limit + Math.min(limit, HEARTBEAT_GRACE_MS) : 0;
    return Math.max(Date.parse(this.#journal.seen.lastActiveAt), heard);
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

  #leave(session: BootSession): void {
    this.#journal.note({ lastActiveAt: this.lastActiveAt });
    this.#session = null;
    this.activity.stop();
    session.forget();
    this.#deps.onBootOver();
  }

  /** Ends the machine with the session. One that cannot be ended leaves the instance failed, and is tried again later. */
  async #detach(session: BootSession): Promise<void> {
    this.#leave(session);
    await this.#memory.end();
    try {
      await this.#disposal.end(session.machine);
    } catch (error) {
      const failure = `its machine could not be ended: ${error instanceof Error ? error.message : String(error)}`;
      this.#nowStopped({ state: "failed", failure }, failure);
      throw error;
    }
  }

  /** Ends the life of one boot, once: whoever comes second (exit of the process, end of the machine) finds it gone. */
  #end(boot: number, outcome: (session: BootSession) => Promise<Ending>): void {
    this.#inBackground(async () => {
      const session = this.#session;
      if (session === null || session.machine.boot !== boot) return;
      const patch = await outcome(session);
      const ranMs = Date.now() - session.startedAt;
      await this.#detach(session);
      const reason = patch.failure ?? `exited with code ${patch.exitCode}`;
      this.#nowEnded(patch, reason, { kind: "ended", clean: patch.exitCode === 0, ranMs });
    });
  }

  // --- what the harness and the clock say ---------------------------------------------------------------------------

  #observer(boot: number, savedBefore = 0): HarnessObserver {
    const acknowledge = (seq: number): void => {
      if (this.machine?.boot === boot) this.#session?.logSaved(seq);
    };
    const onGap = (lines: number): void =>
      this.#journal.say(`${lines} lines were dropped because nobody took them in time`);
    const { logs } = this.#deps;
    const intake = new LogIntake({ logs, instanceId: this.#record.id, boot, savedBefore, onGap, acknowledge });
    return {
      log: (line) => intake.take(line),
      logDropped: (lines) => intake.dropped(lines),
      activity: () => {
        if (this.#record.spec.idle_policy === "default" && !this.#consent.asking) this.activity.touch();
      },
      processExited: (exit) => this.#onProcessExited(boot, exit),
      streamOpened: (request, reverse) => {
        const warn = (error: unknown): void => this.#deps.warn(`a call from ${this.#record.id}: ${String(error)}`);
        this.#onStreamOpened(boot, request, reverse).catch(warn);
      },
    };
  }

  /** Through the queue, because a short workload ends before its boot is done. */
  #onProcessExited(boot: number, exit: ProcessExit): void {
    this.#end(boot, async ({ machine }) => {
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

  #restart(): void {
    if (this.removed || !this.#record.enabled || (this.state !== "stopped" && this.state !== "failed")) return;
    this.#start(`restart policy ${this.#record.spec.restart}`).catch((error: unknown) => {
      // what a boot failed of is in the instance's state
      if (!(error instanceof AegisError)) this.#deps.warn(`${this.#record.id}: ${String(error)}`);
    });
  }

  /** Not in the queue: whoever comes while the workload is asked does not wait for its answer. */
  async #pauseIfAgreed(session: BootSession): Promise<void> {
    const quietSince = this.activity.lastTouch;
    const busy = await this.#consent.ask(session);
    if (busy !== null && this.#isUp(session)) {
      this.#journal.pausePostponed(busy);
      const limit = seconds(this.#record.spec.pause_after_idle_s) ?? 0;
      return this.activity.defer(Math.min(limit, LONGEST_POSTPONEMENT_MS));
    }
    this.#inBackground(async () => {
      const { pause_after_idle_s } = this.#record.spec;
      if (!this.#isUp(session)) return;
      const quiet = pause_after_idle_s !== null && this.activity.lastTouch === quietSince;
      if (quiet) await this.#freeze(`idle for ${pause_after_idle_s} s`).finally(() => this.#tellResumed());
      else this.#tellResumed();
      this.activity.rearm();
    });
  }

  /** When the workload agreed to a pause that is over, or never came. */
  #tellResumed(): void {
    const session = this.#session;
    if (session !== null && this.#isUp(session)) this.#consent.tellResumed(session, () => this.#isUp(session));
  }

  #isUp(session: BootSession): boolean {
    return this.#session === session && this.state === "running";
  }

  #onIdle(): void {
    const session = this.#session;
    if (session !== null && this.#isUp(session) && this.#consent.needed) return void this.#pauseIfAgreed(session);
    const act = async () => {
      const { spec } = this.#record;
      if (this.activity.holds > 0) return;
      if (this.state === "running") await this.#freeze(`idle for ${spec.pause_after_idle_s} s`);
      else if (this.state === "paused") await this.#halt(`paused for ${spec.stop_after_paused_s} s`, STOP_GRACE_MS);
    };
    this.#inBackground(() => act().finally(() => this.activity.rearm()));
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

  #tokenKeeper(boot: number): TokenKeeper {
    return new TokenKeeper(this.#deps.tokens, this.#record.id, boot, () => this.#record.grant);
  }

  /** @throws AegisError `instance_deleted` */
  #refuseRemoved(): void {
    if (!this.removed) return;
    throw new AegisError("instance_deleted", `${this.#record.handle} was deleted. Create a new instance instead.`);
  }

  wrongState(verb: string): AegisError {
    return wrongState(this.#record, this.#journal.seen, verb);
  }
}
