import type { ActivityReport, ProcessExit } from "@aegis/protocol/control";
import type { InstanceState } from "@aegis/protocol/instance";
import { messageOf } from "@aegis/protocol/errors";
import { Arrivals } from "./arrivals.ts";
import type { ArrivalsDeps } from "./arrivals.ts";
import type { BootSession } from "./boot-session.ts";
import { Boots } from "./boots.ts";
import { CurrentBoot } from "./current-boot.ts";
import type { Machine } from "./driver.ts";
import { Hibernation } from "./hibernation.ts";
import type { Hibernated } from "./hibernation.ts";
import type { InstanceJournal } from "./instance-journal.ts";
import { endUnseen } from "./ending.ts";
import type { Ending } from "./ending.ts";
import { isExpected, notWoken, wakeOf } from "./instance-record.ts";
import type { InstanceRecord } from "./instance-record.ts";
import type { LifecycleDeps } from "./lifecycle-deps.ts";
import { MachineDisposal } from "./machine-disposal.ts";
import { PausedMemory } from "./paused-memory.ts";
import { quietSince } from "./quiet-since.ts";
import { sendsDone } from "./sends-done.ts";
import { TokenKeeper } from "./token-keeper.ts";
import type { WakeTimes } from "./wake-request.ts";

/** What the transitions need of the lifecycle around them. */
export interface TransitionsDeps extends LifecycleDeps, ArrivalsDeps {
  /** runs a task behind everything that is going on */
  inBackground: (task: () => Promise<void>) => void;
  /** after a pause: callers that were on their way to the running machine are let through */
  wakeReached: () => Promise<void>;
  onHeartbeat: (report: ActivityReport) => void;
}

export const STOP_GRACE_MS = 10_000;
const RECLAIM_AFTER_MS = 2_000;

/**
 * The steps between the states of one instance. Whoever calls holds the instance's queue: nothing here protects itself
 * against a second caller.
 */
export class Transitions {
  readonly #deps: TransitionsDeps;
  readonly #journal: InstanceJournal;
  readonly #disposal: MachineDisposal;
  readonly #memory: PausedMemory;
  readonly #hibernation: Hibernation;
  readonly #arrivals: Arrivals;
  readonly #current: CurrentBoot;
  readonly #boots: Boots;

  constructor(deps: TransitionsDeps) {
    this.#deps = deps;
    this.#journal = deps.journal;
    this.#disposal = new MachineDisposal(deps.warn);
    this.#hibernation = new Hibernation(deps);
    this.#arrivals = new Arrivals(deps);
    this.#current = new CurrentBoot({ ...deps, onEnd: (boot, outcome) => this.#end(boot, outcome) });
    this.#boots = new Boots({
      ...deps,
      current: this.#current,
      arrivals: this.#arrivals,
      disposal: this.#disposal,
      endAsleep: () => this.#endAsleep(),
    });
    this.#memory = new PausedMemory({
      afterMs: RECLAIM_AFTER_MS,
      onReclaimed: (memory) => deps.journal.reclaimed(memory),
      warn: deps.warn,
    });
  }

  get session(): BootSession | null {
    return this.#current.session;
  }

  /** As {@link CurrentBoot.onBegin}. */
  onBegin(listener: (session: BootSession) => void): () => void {
    return this.#current.onBegin(listener);
  }

  get lastActiveAt(): string {
    return this.#current.lastActiveAt;
  }

  /** May be called at any time: a boot that is going on fails soon, and of a hibernation nothing comes. */
  cancelBoot(): void {
    this.#boots.cancel();
    this.#hibernation.interrupt();
  }

  /** May be called at any time: who wants it awake does not wait until it has been written to disk. */
  keepInMemory(): void {
    this.#hibernation.interrupt();
  }

  /** @throws AegisError `driver_failed` where the backend cannot hibernate */
  checkHibernates(): void {
    this.#hibernation.check();
  }

  /** Takes up a machine that outlived the last daemon. */
  async adopt(machine: Machine): Promise<void> {
    const token = new TokenKeeper(this.#deps, this.#record, machine.boot);
    const observer = this.#current.observer(machine.boot, await this.#current.logged(), token);
    const { wanted, pausedAt, lastActiveAt } = this.#journal.seen;
    this.#deps.activity.start(null, Date.parse(lastActiveAt));
    const session = this.#current.begin(machine, observer, token);
    // it lives: what was being written of it, or has been taken up, is good for nothing
    await this.#hibernation.drop();
    if (wanted === "stopped")
      return this.halt("it was to stop when the last daemon ended", STOP_GRACE_MS, wakeOf(this.#journal.seen));
    if (await machine.isPaused()) return this.#nowPaused("the daemon came back", pausedAt ?? lastActiveAt);
    await this.#connect(session);
    if (!session.neverRan) return this.#arrivals.running("the daemon came back", quietSince(this.#journal));
    await this.#detach(session);
    await this.#boots.boot("the boot was interrupted by the end of the last daemon");
  }

  /**
   * After a daemon restart without a machine to adopt.
   * @returns true when it is to be started again: its boot was cut short, or it ran when the host went down
   */
  settleWithoutMachine(): boolean {
    const { state, wanted, snapshot, restartAt } = this.#journal.seen;
    if (restartAt !== null) this.#deps.restarts.arm(Date.parse(restartAt) - Date.now());
    if (state === "stopped" || state === "failed") return false;
    if (snapshot && wanted === "paused") {
      if (state !== "hibernated") this.#arrivals.hibernated("its memory was on disk when the daemon came back");
      return false;
    }
    const { again, why } = endUnseen(this.#journal, this.#deps.hostBoot);
    if (!(again && snapshot)) this.#deps.onBootOver();
    if (again) this.#journal.transition({ state: "starting" }, why);
    else {
      this.#arrivals.stopped({ state: "stopped", ...wakeOf(this.#journal.seen) }, why);
      this.#deps.inBackground(() => this.#endAsleep());
    }
    return again;
  }

  /** Lets go of the machine, for the next daemon to take up. */
  async letGo(): Promise<void> {
    this.#deps.activity.stop();
    await this.#memory.end();
    this.#current.letGo();
  }

  /** Waits until no machine of an earlier boot is left. */
  clearMachines(): Promise<void> {
    return this.#disposal.clear();
  }

  async wake(reason: string): Promise<void> {
    if (this.#state === "running") return;
    if (this.#current.session === null) return this.#boots.boot(reason);
    await this.#memory.end();
    await this.#current.session.machine.resume();
    await this.#connect(this.#current.session);
    await sendsDone();
    this.#arrivals.running(reason);
  }

  /** A machine whose harness does not answer is of no use to anybody. */
  async #connect(session: BootSession): Promise<void> {
    try {
      await session.connect();
    } catch (error) {
      const failure = `its harness does not answer: ${messageOf(error)}`;
      this.#journal.say(failure);
      await this.#detach(session);
      this.#arrivals.stopped({ state: "failed", failure }, failure);
      throw error;
    }
  }

  async freeze(reason: string): Promise<void> {
    if (this.#state !== "running" || this.#current.session === null) return;
    await this.#current.session.machine.pause();
    this.#nowPaused(reason, new Date().toISOString());
    await this.#deps.wakeReached();
  }

  /** From a pause to disk. Children stay as in a pause, and so does what the workload was promised. */
  async hibernate(reason: string): Promise<Hibernated> {
    const session = this.#current.session;
    if (this.#state !== "paused" || session === null)
      return { done: false, interrupted: true, why: "it was woken", code: "wrong_state" };
    await this.#memory.end();
    const outcome = await this.#hibernation.write(session.machine);
    if (!outcome.done) {
      this.#memory.begin(session.machine);
      return outcome;
    }
    this.#current.letGo();
    this.#arrivals.hibernated(reason);
    // it has ended: what cannot be removed of it is removed before the next boot
    await this.#disposal.end(session.machine).catch((error: unknown) => this.#deps.warn(String(error)));
    return outcome;
  }

  /** After a long pause: to disk where that is wanted and works, else it is stopped. */
  async putAway(reason: string): Promise<void> {
    let why = reason;
    if (this.#record.spec.hibernate && this.#hibernation.possible) {
      const outcome = await this.hibernate(reason);
      if (outcome.done || outcome.interrupted) return;
      why = `${reason}; it could not be hibernated: ${outcome.why}`;
    }
    await this.halt(why, STOP_GRACE_MS, wakeOf(this.#journal.seen));
  }

  /** Nothing of it will be taken up: then that boot is over. */
  async #endAsleep(): Promise<void> {
    if (!this.#journal.seen.snapshot) return;
    this.#deps.onBootOver();
    await this.#hibernation.drop();
  }

  /** @param ahead when it wakes by itself; a stop that somebody asked for is also the end of that */
  async halt(reason: string, graceMs: number, ahead: WakeTimes = notWoken): Promise<void> {
    this.#deps.restarts.reset();
    const session = this.#current.session;
    if (session !== null) {
      this.#journal.note({ wanted: "stopped", ...ahead });
      await this.#memory.end();
      const exit = await this.#endWorkload(session, graceMs);
      await this.#detach(session);
      this.#journal.say(exit === null ? `stopped: ${reason}` : `process exited (code ${exit.code}): ${reason}`);
      this.#journal.note({ exitCode: exit?.code ?? null });
    } else if (this.#journal.seen.snapshot) {
      this.#journal.note({ wanted: "stopped", ...ahead });
      await this.#endAsleep();
    }
    await this.#disposal.kill();
    const settled = this.#state === "stopped" && !isExpected(this.#journal.seen);
    if (!settled) this.#arrivals.stopped({ state: "stopped", ...ahead }, reason);
  }

  /** @returns null when nobody in there can be asked: then the end of the machine is its end */
  async #endWorkload(session: BootSession, graceMs: number): Promise<ProcessExit | null> {
    try {
      await session.machine.resume();
      return await session.shutDown(graceMs);
    } catch (error) {
      this.#journal.say(`could not be asked to end: ${messageOf(error)}`);
      return null;
    }
  }

  #nowPaused(reason: string, pausedAt: string): void {
    this.#arrivals.paused(reason, pausedAt, this.lastActiveAt);
    if (this.#current.session !== null) this.#memory.begin(this.#current.session.machine);
  }

  /** Ends the machine with the session. One that cannot be ended leaves the instance failed, and is tried again later. */
  async #detach(session: BootSession): Promise<void> {
    this.#current.leave();
    await this.#memory.end();
    try {
      await this.#disposal.end(session.machine);
    } catch (error) {
      const failure = `its machine could not be ended: ${messageOf(error)}`;
      this.#arrivals.stopped({ state: "failed", failure }, failure);
      this.#deps.onStranded();
      throw error;
    }
  }

  /** Ends the life of one boot, once: whoever comes second (exit of the process, end of the machine) finds it gone. */
  #end(boot: number, outcome: (session: BootSession) => Promise<Ending>): void {
    this.#deps.inBackground(async () => {
      const session = this.#current.session;
      if (session === null || session.machine.boot !== boot) return;
      const patch = await outcome(session);
      const ranMs = Date.now() - session.startedAt;
      await this.#detach(session);
      const reason = patch.failure ?? `exited with code ${patch.exitCode}`;
      this.#arrivals.ended(patch, reason, { kind: "ended", clean: patch.exitCode === 0, ranMs });
    });
  }

  get #record(): InstanceRecord {
    return this.#journal.record;
  }

  get #state(): InstanceState {
    return this.#journal.seen.state;
  }
}
