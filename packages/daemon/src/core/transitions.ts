import type { ProcessExit } from "@aegis/protocol/control";
import type { InstanceState } from "@aegis/protocol/instance";
import { AegisError, shellExitCode } from "@aegis/protocol/errors";
import type { ActivityTimer } from "./activity-timer.ts";
import { bootInstance } from "./boot.ts";
import { bootObserver } from "./boot-observer.ts";
import { BootSession } from "./boot-session.ts";
import type { Machine } from "./driver.ts";
import type { HarnessObserver } from "./harness.ts";
import type { InstanceJournal } from "./instance-journal.ts";
import { endOfMachine, endOfProcess, endUnseen } from "./ending.ts";
import type { Ending } from "./ending.ts";
import { freshBoot, type InstanceRecord, isExpected, notWoken, nothingAhead, wakeOf } from "./instance-record.ts";
import type { LifecycleDeps } from "./lifecycle-deps.ts";
import { MachineDisposal } from "./machine-disposal.ts";
import { PausedMemory } from "./paused-memory.ts";
import { PullLog } from "./pull-log.ts";
import { quietSince } from "./quiet-since.ts";
import type { RestartTimer, RunEnd } from "./restart-timer.ts";
import { sendsDone } from "./sends-done.ts";
import { TokenKeeper } from "./token-keeper.ts";
import type { WakeTimes } from "./wake-request.ts";
import { wrongState } from "./wrong-state.ts";

/** What the transitions need of the lifecycle around them. */
export interface TransitionsDeps extends LifecycleDeps {
  journal: InstanceJournal;
  activity: ActivityTimer;
  restarts: RestartTimer;
  /** runs a task behind everything that is going on */
  inBackground: (task: () => Promise<void>) => void;
  /** after a pause: callers that were on their way to the running machine are let through */
  wakeReached: () => Promise<void>;
  /** it is being deleted */
  isRemoved: () => boolean;
  /** it runs, freshly booted or after a pause */
  onUp: () => void;
  onHeartbeat: () => void;
}

export const STOP_GRACE_MS = 10_000;
const RECLAIM_AFTER_MS = 2_000;
const seconds = (value: number | null): number | null => (value === null ? null : value * 1000);

/**
 * The steps between the states of one instance. Whoever calls holds the instance's queue: nothing here protects itself
 * against a second caller.
 */
export class Transitions {
  readonly #deps: TransitionsDeps;
  readonly #journal: InstanceJournal;
  readonly #disposal: MachineDisposal;
  readonly #memory: PausedMemory;
  #session: BootSession | null = null;
  #bootAbort = new AbortController();

  constructor(deps: TransitionsDeps) {
    this.#deps = deps;
    this.#journal = deps.journal;
    this.#disposal = new MachineDisposal(deps.warn);
    this.#memory = new PausedMemory({
      afterMs: RECLAIM_AFTER_MS,
      onReclaimed: (memory) => deps.journal.reclaimed(memory),
      warn: deps.warn,
    });
  }

  get session(): BootSession | null {
    return this.#session;
  }

  get lastActiveAt(): string {
    const active = this.#session !== null && this.#state !== "paused";
    return active ? new Date(this.#deps.activity.lastTouch).toISOString() : this.#journal.seen.lastActiveAt;
  }

  /** The one thing that may be called at any time: a boot that is going on fails soon. */
  cancelBoot(): void {
    this.#bootAbort.abort();
  }

  /** Takes up a machine that outlived the last daemon. */
  async adopt(machine: Machine): Promise<void> {
    const token = new TokenKeeper(this.#deps, this.#record, machine.boot);
    const saved = await this.#deps.logs.newestSeq(this.#record.id, machine.boot);
    const session = this.#newSession(machine, this.#observer(machine.boot, saved), token);
    const { wanted, pausedAt, lastActiveAt } = this.#journal.seen;
    this.#deps.activity.start(null, Date.parse(lastActiveAt));
    this.#attach(session);
    if (wanted === "stopped")
      return this.halt("it was to stop when the last daemon ended", STOP_GRACE_MS, wakeOf(this.#journal.seen));
    if (await machine.isPaused()) return this.#nowPaused("the daemon came back", pausedAt ?? lastActiveAt);
    await this.#connect(session);
    if (!session.neverRan) return this.#nowRunning("the daemon came back", quietSince(this.#journal));
    await this.#detach(session);
    await this.#boot("the boot was interrupted by the end of the last daemon");
  }

  /**
   * After a daemon restart without a machine to adopt.
   * @returns true when it is to be started again: its boot was cut short, or it ran when the host went down
   */
  settleWithoutMachine(): boolean {
    const { state, restartAt } = this.#journal.seen;
    if (restartAt !== null) this.#deps.restarts.arm(Date.parse(restartAt) - Date.now());
    if (state === "stopped" || state === "failed") return false;
    this.#deps.onBootOver();
    const { again, why } = endUnseen(this.#journal, this.#deps.hostBoot);
    if (again) this.#journal.transition({ state: "starting" }, why);
    else this.#nowStopped({ state: "stopped", ...wakeOf(this.#journal.seen) }, why);
    return again;
  }

  /** Lets go of the machine, for the next daemon to take up. */
  async letGo(): Promise<void> {
    this.#deps.activity.stop();
    await this.#memory.end();
    this.#session?.forget();
    this.#session = null;
  }

  /** Waits until no machine of an earlier boot is left. */
  clearMachines(): Promise<void> {
    return this.#disposal.clear();
  }

  async wake(reason: string): Promise<void> {
    if (this.#state === "running") return;
    if (this.#session === null) return this.#boot(reason);
    await this.#memory.end();
    await this.#session.machine.resume();
    await this.#connect(this.#session);
    await sendsDone();
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
    this.#deps.restarts.cancel();
    this.#checkStart();
    this.#bootAbort = new AbortController();
    const boot = this.#journal.seen.boot + 1;
    if (this.#state !== "starting") this.#journal.transition({ state: "starting", wanted: "running" }, reason);
    const pullLog = new PullLog((message) => this.#journal.progress(message));
    const [token, observer] = [new TokenKeeper(this.#deps, this.#record, boot), this.#observer(boot)];
    let made: Machine | null = null;
    try {
      await this.#disposal.clear();
      this.#journal.commit({ boot, hostBoot: this.#deps.hostBoot, ...freshBoot });
      const booted = await bootInstance(this.#deps, {
        record: this.#record,
        imageDigest: this.#journal.seen.imageDigest,
        boot,
        observer,
        token: await token.first(),
        workspace: this.#deps.workspace(),
        onPull: (progress) => pullLog.add(progress),
        onImage: ({ digest }) => this.#journal.bootsFrom(digest),
        onMachine: (machine) => {
          made = machine;
        },
        signal: this.#bootAbort.signal,
      });
      const session = this.#newSession(booted.machine, observer, token);
      this.#attach(session);
      await session.use(booted.link);
      this.#nowRunning(reason);
    } catch (error) {
      await this.#abandon(made);
      this.#bootFailed(error);
      if (!this.#bootAbort.signal.aborted) throw error;
      throw wrongState(this.#record, this.#journal.seen, "finish its start: it was stopped meanwhile");
    }
  }

  /** Again, because what it depends on may have changed while the start waited in the queue. */
  #checkStart(): void {
    try {
      this.#deps.checkStart();
    } catch (error) {
      if (this.#state === "starting") this.#nowStopped({ state: "stopped" }, `not started: ${String(error)}`);
      throw error;
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
    const exitCode = error instanceof AegisError ? shellExitCode(error.code) : null;
    this.#nowEnded({ state: "failed", failure, exitCode }, reason, { kind: "boot_failed", passing });
  }

  async freeze(reason: string): Promise<void> {
    if (this.#state !== "running" || this.#session === null) return;
    await this.#session.machine.pause();
    this.#nowPaused(reason, new Date().toISOString());
    await this.#deps.wakeReached();
  }

  /** @param ahead when it wakes by itself; a stop that somebody asked for is also the end of that */
  async halt(reason: string, graceMs: number, ahead: WakeTimes = notWoken): Promise<void> {
    this.#deps.restarts.reset();
    const session = this.#session;
    if (session !== null) {
      this.#journal.note({ wanted: "stopped", ...ahead });
      await this.#memory.end();
      const exit = await this.#endWorkload(session, graceMs);
      await this.#detach(session);
      this.#journal.say(exit === null ? `stopped: ${reason}` : `process exited (code ${exit.code}): ${reason}`);
      this.#journal.note({ exitCode: exit?.code ?? null });
    }
    await this.#disposal.kill();
    const settled = this.#state === "stopped" && !isExpected(this.#journal.seen);
    if (!settled) this.#nowStopped({ state: "stopped", ...ahead }, reason);
  }

  /** @returns null when nobody in there can be asked: then the end of the machine is its end */
  async #endWorkload(session: BootSession, graceMs: number): Promise<ProcessExit | null> {
    try {
      await session.machine.resume();
      return await session.shutDown(graceMs);
    } catch (error) {
      this.#journal.say(`could not be asked to end: ${error instanceof Error ? error.message : String(error)}`);
      return null;
    }
  }

  #nowRunning(reason: string, since?: number): void {
    this.#journal.transition({ state: "running", wanted: "running", pausedAt: null }, reason);
    this.#deps.activity.start(seconds(this.#record.spec.pause_after_idle_s), since);
    this.#deps.onUp();
  }

  #nowPaused(reason: string, pausedAt: string): void {
    this.#journal.transition({ state: "paused", wanted: "paused", lastActiveAt: this.lastActiveAt, pausedAt }, reason);
    this.#deps.activity.start(seconds(this.#record.spec.stop_after_paused_s), Date.parse(pausedAt));
    if (this.#session !== null) this.#memory.begin(this.#session.machine);
  }

  #nowStopped(patch: Ending, reason: string): void {
    const down = { wanted: "stopped", stoppedAt: new Date().toISOString(), pausedAt: null } as const;
    this.#journal.transition({ ...nothingAhead, ...patch, ...down, endsBelow: this.#deps.takesAlong() }, reason);
    this.#deps.onDown();
  }

  /** It ended without anybody asking for that: the restart policy has the word. */
  #nowEnded(patch: Ending, reason: string, end: RunEnd): void {
    const { restart } = this.#record.spec;
    const waitMs = this.#record.enabled ? this.#deps.restarts.delayAfter(restart, end) : null;
    if (waitMs === null) return this.#nowStopped(patch, reason);
    const restartAt = new Date(Date.now() + waitMs).toISOString();
    this.#nowStopped({ ...patch, restartAt }, `${reason}; starts again in ${waitMs / 1000} s (restart: ${restart})`);
    if (!this.#deps.isRemoved()) this.#deps.restarts.arm(waitMs);
  }

  #newSession(machine: Machine, observer: HarnessObserver, token: TokenKeeper): BootSession {
    const { harness, warn } = this.#deps;
    return new BootSession({ machine, harness, observer, token, warn });
  }

  #attach(session: BootSession): void {
    this.#session = session;
    void session.machine.exited.then((exit) =>
      this.#end(session.machine.boot, async () => endOfMachine(exit, this.#journal)),
    );
  }

  #leave(session: BootSession): void {
    this.#journal.note({ lastActiveAt: this.lastActiveAt });
    this.#session = null;
    this.#deps.activity.stop();
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
      this.#deps.onStranded();
      throw error;
    }
  }

  /** Ends the life of one boot, once: whoever comes second (exit of the process, end of the machine) finds it gone. */
  #end(boot: number, outcome: (session: BootSession) => Promise<Ending>): void {
    this.#deps.inBackground(async () => {
      const session = this.#session;
      if (session === null || session.machine.boot !== boot) return;
      const patch = await outcome(session);
      const ranMs = Date.now() - session.startedAt;
      await this.#detach(session);
      const reason = patch.failure ?? `exited with code ${patch.exitCode}`;
      this.#nowEnded(patch, reason, { kind: "ended", clean: patch.exitCode === 0, ranMs });
    });
  }

  // --- what one boot says of itself ---------------------------------------------------------------------------------

  #observer(boot: number, savedBefore = 0): HarnessObserver {
    return bootObserver({
      boot,
      savedBefore,
      journal: this.#journal,
      logs: this.#deps.logs,
      tokens: this.#deps.tokens,
      audit: this.#deps.audit,
      warn: this.#deps.warn,
      onStream: this.#deps.onStream,
      onHeartbeat: this.#deps.onHeartbeat,
      onTokenRefused: () => this.#session?.lookAtToken(),
      onProcessExited: (exit) => this.#onProcessExited(boot, exit),
      onLogSaved: (seq) => {
        if (this.#session?.machine.boot === boot) this.#session.logSaved(seq);
      },
    });
  }

  /** Through the queue, because a short workload ends before its boot is done. */
  #onProcessExited(boot: number, exit: ProcessExit): void {
    this.#end(boot, ({ machine }) => endOfProcess(machine, exit, this.#journal));
  }

  get #record(): InstanceRecord {
    return this.#journal.record;
  }

  get #state(): InstanceState {
    return this.#journal.seen.state;
  }
}
