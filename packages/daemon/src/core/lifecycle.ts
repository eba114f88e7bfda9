import type { InstanceState } from "@aegis/protocol/instance";
import { AegisError } from "@aegis/protocol/errors";
import { ActivityTimer } from "./activity-timer.ts";
import type { BootSession } from "./boot-session.ts";
import type { Machine } from "./driver.ts";
import { OUT_OF_MEMORY } from "./ending.ts";
import type { InstanceJournal } from "./instance-journal.ts";
import type { InstanceRecord } from "./instance-record.ts";
import type { LifecycleDeps } from "./lifecycle-deps.ts";
import { FallingAsleep } from "./falling-asleep.ts";
import { PauseConsent } from "./pause-consent.ts";
import { RestartTimer } from "./restart-timer.ts";
import { SerialQueue } from "./serial-queue.ts";
import { STOP_GRACE_MS, Transitions } from "./transitions.ts";
import { WakeRetry } from "./wake-retry.ts";
import { WakeTimer } from "./wake-timer.ts";
import { wrongState } from "./wrong-state.ts";

/** @param signal aborts when the machine cannot be had: nobody waits for the result any more */
export type ReachAct<T> = (session: BootSession, signal: AbortSignal) => Promise<T>;

const sleeps = (state: InstanceState): boolean => state === "paused" || state === "hibernated";
const seconds = (value: number | null): number | null => (value === null ? null : value * 1000);

/**
 * `stopped -> starting -> running -> paused -> (running | hibernated | stopped)`, `hibernated -> starting`, or `failed`. Every transition of an instance goes
 * through its queue here, so nothing races a pause with a wake.
 */
export class Lifecycle {
  /** what keeps the instance awake, and how long it has been quiet */
  readonly activity: ActivityTimer;
  readonly #journal: InstanceJournal;
  readonly #deps: LifecycleDeps;
  readonly #queue = new SerialQueue();
  readonly #transitions: Transitions;
  readonly #sleep: FallingAsleep;
  readonly #restarts = new RestartTimer(() => this.#restart());
  readonly #wakeTimer = new WakeTimer((wakeAt) => this.#onWakeTime(wakeAt));
  readonly #wakeRetry = new WakeRetry((reason) => this.wakePaused(reason));
  /** callers of {@link reach} that do not have yet what they came for */
  readonly #reaching = new Set<AbortController>();
  #removal: Promise<void> | null = null;

  constructor(journal: InstanceJournal, deps: LifecycleDeps) {
    this.#journal = journal;
    this.#deps = deps;
    this.activity = new ActivityTimer(() => this.#sleep.onIdle());
    const consent = new PauseConsent(journal, deps.harness);
    this.#transitions = new Transitions({
      ...deps,
      journal,
      activity: this.activity,
      restarts: this.#restarts,
      inBackground: (task) => this.#inBackground(task),
      wakeReached: async () => {
        if (this.#reaching.size > 0) await this.#wakeForWaiting("somebody was on the way in");
      },
      isRemoved: () => this.removed,
      onStranded: () => {
        for (const ahead of this.#reaching) ahead.abort();
        deps.onStranded();
      },
      onUp: () => this.#sleep.tellResumed(),
      onHeartbeat: () => {
        if (this.#record.spec.idle_policy === "default" && !consent.asking) this.activity.touch();
      },
    });
    this.#sleep = new FallingAsleep({
      journal,
      consent,
      activity: this.activity,
      queue: this.#queue,
      transitions: this.#transitions,
      wakeTimer: this.#wakeTimer,
      inBackground: (task) => this.#inBackground(task),
    });
  }

  get state(): InstanceState {
    return this.#journal.seen.state;
  }

  get machine(): Machine | null {
    return this.#transitions.session?.machine ?? null;
  }

  get lastActiveAt(): string {
    return this.#transitions.lastActiveAt;
  }

  /** Says `starting` at once; the promise settles when the workload runs or the boot has failed. Idempotent. */
  async start(reason: string): Promise<void> {
    this.#restarts.reset();
    return this.#start(reason);
  }

  /** Ends the workload, cancels a boot. */
  stop(reason: string, graceMs: number, after?: () => Promise<void>): Promise<void> {
    this.#restarts.reset();
    this.#transitions.cancelBoot();
    return this.#queue.run(async () => {
      await this.#transitions.halt(reason, graceMs);
      await after?.();
    });
  }

  /**
   * Stops and starts in one go: nothing that is asked later comes in between.
   * @param between runs when no machine is left
   */
  restart(reason: string, between: () => Promise<void>): Promise<void> {
    this.#refuseRemoved();
    this.#restarts.reset();
    this.#transitions.cancelBoot();
    return this.#queue.run(async () => {
      await this.#transitions.halt(reason, STOP_GRACE_MS);
      await between();
      await this.#transitions.wake(reason);
    });
  }

  /**
   * Stops for good: from now on everything that would wake the instance is refused.
   * @param after runs when no machine is left; when it fails, the instance is as it was, but stopped
   */
  remove(after: () => Promise<void>): Promise<void> {
    this.#restarts.reset();
    this.#wakeRetry.reset();
    this.#transitions.cancelBoot();
    this.#removal ??= this.#queue.run(async () => {
      try {
        await this.#transitions.halt("deleted", 0);
        await this.#transitions.clearMachines();
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

  /** As {@link FallingAsleep.pause}. */
  async pause(force = false): Promise<void> {
    this.#refuseRemoved();
    return this.#sleep.pause(force);
  }

  /** As {@link FallingAsleep.hibernate}. */
  async hibernate(force = false): Promise<void> {
    this.#refuseRemoved();
    return this.#sleep.hibernate(force);
  }

  /** Takes up what has changed in the spec. */
  respec(): void {
    const { pause_after_idle_s, stop_after_paused_s, restart } = this.#record.spec;
    if (restart === "no" && this.#journal.seen.restartAt !== null) {
      this.#restarts.reset();
      this.#journal.transition({ restartAt: null }, "its restart policy was switched off");
    }
    if (this.#transitions.session === null) return;
    if (this.state === "running") this.activity.change(seconds(pause_after_idle_s));
    if (this.state === "paused") this.activity.change(seconds(stop_after_paused_s));
  }

  /** @throws AegisError `wrong_state` unless running, paused or hibernated */
  async resume(): Promise<void> {
    this.#refuseRemoved();
    this.#transitions.keepInMemory();
    return this.#queue.run(async () => {
      if (this.state !== "running" && !sleeps(this.state)) throw this.wrongState("be resumed");
      await this.#transitions.wake("resumed by request");
    });
  }

  /** Wakes a paused machine because bytes arrived on a connection that was open before the pause. */
  nudge(): void {
    this.activity.touch();
    this.wakePaused("data on an open connection");
  }

  /**
   * Wakes one that is paused or hibernated behind everything that is going on, and tries until that works; one in any
   * other state stays as it is.
   */
  wakePaused(reason: string): void {
    if (!sleeps(this.state) || this.removed) return this.#wakeRetry.reset();
    this.#transitions.keepInMemory();
    this.#inBackground(async () => {
      if (sleeps(this.state)) await this.#wakeForWaiting(reason);
    });
  }

  /** Who waits in a paused machine cannot be told that it cannot be woken: it is tried again. */
  async #wakeForWaiting(reason: string): Promise<void> {
    try {
      await this.#transitions.wake(reason);
      this.#wakeRetry.reset();
    } catch (error) {
      this.#deps.warn(`${this.#record.id} could not be woken for those who wait in it: ${String(error)}`);
      if (sleeps(this.state) && !this.removed) this.#wakeRetry.arm(reason);
    }
  }

  /**
   * The session of a running instance: wakes one that sleeps, boots a stopped one if it may.
   * @throws AegisError `wrong_state` when disabled or failed
   */
  async awake(reason: string, mayBoot = true): Promise<BootSession> {
    this.#refuseRemoved();
    if (this.state !== "running" || !this.#queue.idle) {
      this.#transitions.keepInMemory();
      await this.#queue.run(async () => {
        const asleep = this.state === "stopped" && !(this.#record.enabled && mayBoot);
        const failed = this.state === "failed" && this.#journal.seen.restartAt === null;
        if (failed || asleep) throw this.wrongState("be woken");
        await this.#transitions.wake(reason);
      });
    }
    if (this.#transitions.session === null) throw this.wrongState("be reached");
    return this.#transitions.session;
  }

  /**
   * Does something with a running machine. A pause that comes in between counts as one that came before.
   * @param act is called before a paused machine is awake, so that what it sends is there when the harness is
   */
  async reach<T>(reason: string, act: ReachAct<T>, mayBoot = true): Promise<T> {
    const ahead = new AbortController();
    this.#reaching.add(ahead);
    try {
      const { session } = this.#transitions;
      const early = session !== null && this.#isAsleep ? { session, result: act(session, ahead.signal) } : null;
      early?.result.catch(() => undefined);
      const awake = await this.awake(reason, mayBoot);
      return await (early?.session === awake ? early.result : act(awake, ahead.signal));
    } catch (error) {
      ahead.abort();
      throw error;
    } finally {
      this.#reaching.delete(ahead);
    }
  }

  /** After a change of the key: a machine that runs gets another token now, a paused one when it wakes. */
  renewToken(): Promise<void> {
    return this.#queue.run(async () => {
      if (this.state === "running") await this.#transitions.session?.connect();
    });
  }

  /** After a process inside was killed: notes when the kernel did it for want of memory. */
  async checkMemory(): Promise<void> {
    if ((await this.#transitions.session?.machine.ranOutOfMemory()) === true)
      this.#journal.note({ failure: OUT_OF_MEMORY });
  }

  /** Takes up a machine that outlived the last daemon. */
  adopt(machine: Machine): Promise<void> {
    this.#wakeTimer.follow(this.#journal.seen);
    return this.#queue.run(() => this.#transitions.adopt(machine));
  }

  /**
   * After a daemon restart without a machine to adopt.
   * @returns true when it is to be started again: its boot was cut short, or it ran when the host went down
   */
  settleWithoutMachine(): boolean {
    const again = this.#transitions.settleWithoutMachine();
    this.#wakeTimer.follow(this.#journal.seen);
    return again;
  }

  /** Lets go of the machine, for the next daemon to take up. */
  forget(): Promise<void> {
    this.#restarts.cancel();
    this.#wakeTimer.cancel();
    this.#wakeRetry.reset();
    this.#transitions.keepInMemory();
    return this.#queue.run(async () => {
      this.save();
      await this.#transitions.letGo();
    });
  }

  /** Writes down what a next daemon needs to go on from here. */
  save(): void {
    if (!this.removed) this.#journal.save(this.lastActiveAt);
  }

  // --- transitions, inside the queue --------------------------------------------------------------------------------

  async #start(reason: string): Promise<void> {
    this.#refuseRemoved();
    this.#transitions.keepInMemory();
    if (this.state === "stopped" || this.state === "failed" || this.state === "hibernated") {
      this.#deps.checkStart();
      this.#journal.transition({ state: "starting", failure: null, wanted: "running", restartAt: null }, reason);
    }
    return this.#queue.run(() => this.#transitions.wake(reason));
  }

  // --- what the harness and the clock say ---------------------------------------------------------------------------

  /** It asked for that when it agreed to the pause, in which it may have been stopped. */
  #onWakeTime(wakeAt: string): void {
    this.#inBackground(async () => {
      if (this.#journal.seen.wakeAt === wakeAt) await this.#wakeForWaiting(`wake asked for at ${wakeAt}`);
    });
  }

  #restart(): void {
    if (this.removed || !this.#record.enabled || (this.state !== "stopped" && this.state !== "failed")) return;
    try {
      this.#deps.checkStart();
    } catch (error) {
      return this.#journal.transition({ restartAt: null }, `not started again: ${String(error)}`);
    }
    this.#start(`restart policy ${this.#record.spec.restart}`).catch((error: unknown) => {
      // what a boot failed of is in the instance's state
      if (!(error instanceof AegisError)) this.#deps.warn(`${this.#record.id}: ${String(error)}`);
    });
  }

  /** Paused, and nothing is going on that could change that. */
  get #isAsleep(): boolean {
    return this.state === "paused" && this.#queue.idle && !this.removed;
  }

  #inBackground(task: () => Promise<void>): void {
    this.#queue.run(task).catch((error: unknown) => this.#deps.warn(`${this.#record.id}: ${String(error)}`));
  }

  get #record(): InstanceRecord {
    return this.#journal.record;
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
