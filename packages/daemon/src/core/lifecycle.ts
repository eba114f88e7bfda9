import type { InstanceState } from "@aegis/protocol/instance";
import { AegisError } from "@aegis/protocol/errors";
import { ActivityTimer, inMs } from "./activity-timer.ts";
import type { Machine } from "./driver.ts";
import { OUT_OF_MEMORY } from "./ending.ts";
import { IngressTraffic } from "./ingress-traffic.ts";
import type { InstanceJournal } from "./instance-journal.ts";
import type { InstanceRecord } from "./instance-record.ts";
import type { LifecycleDeps } from "./lifecycle-deps.ts";
import { FallingAsleep } from "./falling-asleep.ts";
import type { Wakefulness } from "./open-connection.ts";
import { PauseConsent } from "./pause-consent.ts";
import { RestartTimer } from "./restart-timer.ts";
import { SerialQueue } from "./serial-queue.ts";
import { STOP_GRACE_MS, Transitions } from "./transitions.ts";
import { unwatchedBoot } from "./unwatched-boot.ts";
import { WakeTimer } from "./wake-timer.ts";
import type { Errand } from "./waking.ts";
import { sleeps, Waking } from "./waking.ts";
import { wrongState } from "./wrong-state.ts";

/**
 * `stopped -> starting -> running -> paused -> (running | hibernated | stopped)`, `hibernated -> starting`, or `failed`. Every transition of an instance goes
 * through its queue here, so nothing races a pause with a wake.
 */
export class Lifecycle {
  /** what keeps the instance awake, and how long it has been quiet */
  readonly activity: ActivityTimer;
  /** the same, for a connection from outside, of which a heartbeat tells as well */
  readonly wakefulness: Wakefulness;
  readonly #traffic = new IngressTraffic();
  readonly #journal: InstanceJournal;
  readonly #deps: LifecycleDeps;
  readonly #queue = new SerialQueue();
  readonly #transitions: Transitions;
  readonly #sleep: FallingAsleep;
  readonly #restarts = new RestartTimer(() => this.#restart());
  readonly #wakeTimer = new WakeTimer((wakeAt) => this.#onWakeTime(wakeAt));
  readonly #waking: Waking;
  #removal: Promise<void> | null = null;

  constructor(journal: InstanceJournal, deps: LifecycleDeps) {
    this.#journal = journal;
    this.#deps = deps;
    this.activity = new ActivityTimer(() => this.#sleep.onIdle());
    this.wakefulness = this.#traffic.noting({
      hold: () => this.activity.hold(),
      touch: () => this.activity.touch(),
      nudge: () => {
        this.activity.touch();
        // it may have been open before a pause
        this.wakePaused("data on an open connection");
      },
    });
    const consent = new PauseConsent(journal, deps.harness);
    this.#transitions = new Transitions({
      ...deps,
      journal,
      activity: this.activity,
      restarts: this.#restarts,
      inBackground: (task) => this.#inBackground(task),
      wakeReached: () => this.#waking.wakeReached(),
      isRemoved: () => this.removed,
      onStranded: () => {
        this.#waking.strand();
        deps.onStranded();
      },
      onUp: () => this.#sleep.tellResumed(),
      onHeartbeat: (report) => {
        if (this.#record.spec.idle_policy !== "default" || consent.asking) return;
        if (this.#traffic.explains(report)) return;
        this.activity.touch();
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
    this.#waking = new Waking({
      journal,
      queue: this.#queue,
      transitions: this.#transitions,
      inBackground: (task) => this.#inBackground(task),
      warn: deps.warn,
      isRemoved: () => this.removed,
      refuseRemoved: () => this.#refuseRemoved(),
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
    this.#waking.cancel();
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
    if (this.state === "running") this.activity.change(inMs(pause_after_idle_s));
    if (this.state === "paused") this.activity.change(inMs(stop_after_paused_s));
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

  /** As {@link Waking.wakePaused}. */
  wakePaused(reason: string): void {
    this.#waking.wakePaused(reason);
  }

  /** Does something with a running machine. @throws AegisError `wrong_state` when disabled or failed */
  reach<T>(errand: Errand<T>): Promise<T> {
    return this.#waking.reach(errand);
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
    this.#waking.cancel();
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
      if (this.#journal.seen.wakeAt === wakeAt) await this.#waking.wakeForWaiting(`wake asked for at ${wakeAt}`);
    });
  }

  #restart(): void {
    if (this.removed || !this.#record.enabled || (this.state !== "stopped" && this.state !== "failed")) return;
    try {
      this.#deps.checkStart();
    } catch (error) {
      return this.#journal.transition({ restartAt: null }, `not started again: ${String(error)}`);
    }
    const { id, spec } = this.#record;
    this.#start(`restart policy ${spec.restart}`).catch(unwatchedBoot(id, this.#deps.warn));
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
