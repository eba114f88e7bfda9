import type { InstanceState } from "@aegis/protocol/instance";
import type { BootSession } from "./boot-session.ts";
import type { InstanceJournal } from "./instance-journal.ts";
import type { InstanceRecord } from "./instance-record.ts";
import type { SerialQueue } from "./serial-queue.ts";
import type { Transitions } from "./transitions.ts";
import { WakeRetry } from "./wake-retry.ts";
import { wrongState } from "./wrong-state.ts";

/** Something to do with a running machine. */
export interface Errand<T> {
  /** why it is woken for that */
  reason: string;
  /**
   * Is called before a paused machine is awake, so that what it sends is there when the harness is; and on one that is taken
   * up from disk as soon as its ports can be dialled, behind which nobody waits for the rest.
   * @param signal aborts when the machine cannot be had: nobody waits for the result any more
   */
  act: (session: BootSession, signal: AbortSignal) => Promise<T>;
  /** takes back what was done ahead when the machine could not be woken after all */
  undo: (result: T) => void;
  /** whether a stopped instance is booted for it; by default it is */
  mayBoot?: boolean;
}

export interface WakingDeps {
  journal: InstanceJournal;
  queue: SerialQueue;
  transitions: Transitions;
  inBackground: (task: () => Promise<void>) => void;
  warn: (message: string) => void;
  isRemoved: () => boolean;
  /** @throws AegisError `instance_deleted` */
  refuseRemoved: () => void;
}

/** It goes on from where it was. */
export const sleeps = (state: InstanceState): boolean => state === "paused" || state === "hibernated";

/** How one instance is woken: for somebody who comes, and for those who wait in it. */
export class Waking {
  readonly #deps: WakingDeps;
  readonly #retry = new WakeRetry((reason) => this.wakePaused(reason));
  /** number of the task that will see whether it sleeps; null: none waits */
  #look: number | null = null;
  /** callers of {@link reach} that do not have yet what they came for */
  readonly #reaching = new Set<AbortController>();

  constructor(deps: WakingDeps) {
    this.#deps = deps;
  }

  /** As {@link Errand} says. A pause that comes in between counts as one that came before. */
  reach<T>(errand: Errand<T>): Promise<T> {
    const { session } = this.#deps.transitions;
    return session === null ? this.#reachNext(errand) : this.#reachThis(session, errand);
  }

  async #reachThis<T>(session: BootSession, errand: Errand<T>): Promise<T> {
    const ahead = this.#onTheWay();
    const early = this.#isAsleep ? errand.act(session, ahead.signal) : null;
    early?.catch(() => undefined);
    return this.#settle(errand, ahead, early, async () => {
      const awake = await this.#awake(errand);
      return early !== null && awake === session ? early : errand.act(awake, ahead.signal);
    });
  }

  /** One that has no machine yet. Whatever comes of what is tried early, the last word has one that is awake. */
  async #reachNext<T>(errand: Errand<T>): Promise<T> {
    const ahead = this.#onTheWay();
    const first: { session: BootSession | null } = { session: null };
    const early = Promise.withResolvers<T>();
    const forget = this.#deps.transitions.onBegin((session) => {
      // what came to nothing in the first is done in the next once that is awake
      if (first.session !== null) return;
      first.session = session;
      errand.act(session, ahead.signal).then(early.resolve, early.reject);
    });
    const done = early.promise.then(
      (result) => ({ result }),
      () => null,
    );
    return this.#settle(errand, ahead, early.promise, async () => {
      const awake = this.#awake(errand);
      const soon = await Promise.race([done, awake.then(() => null)]);
      if (soon !== null) return soon.result;
      const late = first.session === (await awake) ? await done : null;
      return late === null ? errand.act(await awake, ahead.signal) : late.result;
    }).finally(forget);
  }

  #onTheWay(): AbortController {
    const ahead = new AbortController();
    this.#reaching.add(ahead);
    return ahead;
  }

  /** What comes of an errand. When that is an error, what was begun early is given up, or taken back once it is done. */
  async #settle<T>(
    { reason, undo }: Errand<T>,
    ahead: AbortController,
    early: Promise<T> | null,
    work: () => Promise<T>,
  ): Promise<T> {
    try {
      const result = await work();
      // a pause that is going on will not see that somebody was on the way in
      this.wakePaused(reason);
      return result;
    } catch (error) {
      ahead.abort();
      early?.then(undo, () => undefined);
      throw error;
    } finally {
      this.#reaching.delete(ahead);
    }
  }

  /** Nobody gets what they came for. */
  strand(): void {
    for (const ahead of this.#reaching) ahead.abort();
  }

  /**
   * The session of a running instance: wakes one that sleeps, boots a stopped one if it may.
   * @throws AegisError `wrong_state` when disabled or failed
   */
  async #awake({ reason, mayBoot = true }: Pick<Errand<unknown>, "reason" | "mayBoot">): Promise<BootSession> {
    const { queue, transitions, refuseRemoved } = this.#deps;
    refuseRemoved();
    if (this.#state !== "running" || !queue.idle) {
      transitions.keepInMemory();
      await queue.run(async () => {
        const asleep = this.#state === "stopped" && !(this.#record.enabled && mayBoot);
        const failed = this.#state === "failed" && this.#deps.journal.seen.restartAt === null;
        if (failed || asleep) throw this.#wrongState("be woken");
        await transitions.wake(reason);
      });
    }
    if (transitions.session === null) throw this.#wrongState("be reached");
    return transitions.session;
  }

  /** Inside the queue: a pause is done, and callers of {@link reach} came meanwhile. */
  async wakeReached(): Promise<void> {
    if (this.#reaching.size > 0) await this.wakeForWaiting("somebody was on the way in");
  }

  /**
   * Wakes one that is paused or hibernated behind everything that is going on, and tries until that works; one in any
   * other state stays as it is.
   */
  wakePaused(reason: string): void {
    const { queue, transitions, inBackground, isRemoved } = this.#deps;
    // while something is going on it may be about to fall asleep
    const staysAwake = !sleeps(this.#state) && queue.idle;
    if (staysAwake || isRemoved()) return this.#retry.reset();
    // one behind which nothing has come, such as a pause
    if (this.#look === queue.added) return;
    transitions.keepInMemory();
    inBackground(async () => {
      this.#look = null;
      if (sleeps(this.#state)) await this.wakeForWaiting(reason);
    });
    this.#look = queue.added;
  }

  /** Inside the queue. Who waits in a paused machine cannot be told that it cannot be woken: it is tried again. */
  async wakeForWaiting(reason: string): Promise<void> {
    try {
      await this.#deps.transitions.wake(reason);
      this.#retry.reset();
    } catch (error) {
      this.#deps.warn(`${this.#record.id} could not be woken for those who wait in it: ${String(error)}`);
      if (sleeps(this.#state) && !this.#deps.isRemoved()) this.#retry.arm(reason);
    }
  }

  /** Tries no more. */
  cancel(): void {
    this.#retry.reset();
  }

  /** Paused, and nothing is going on that could change that. */
  get #isAsleep(): boolean {
    return this.#state === "paused" && this.#deps.queue.idle && !this.#deps.isRemoved();
  }

  get #state(): InstanceState {
    return this.#deps.journal.seen.state;
  }

  get #record(): InstanceRecord {
    return this.#deps.journal.record;
  }

  #wrongState(verb: string): Error {
    return wrongState(this.#record, this.#deps.journal.seen, verb);
  }
}
