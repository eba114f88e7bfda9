import { AegisError } from "@aegis/protocol/errors";
import type { ActivityTimer } from "./activity-timer.ts";
import type { BootSession } from "./boot-session.ts";
import type { InstanceJournal } from "./instance-journal.ts";
import type { InstanceRecord } from "./instance-record.ts";
import type { PauseConsent } from "./pause-consent.ts";
import type { SerialQueue } from "./serial-queue.ts";
import type { Transitions } from "./transitions.ts";
import type { WakeTimer } from "./wake-timer.ts";
import { pauseRefused, wrongState } from "./wrong-state.ts";

export interface FallingAsleepDeps {
  journal: InstanceJournal;
  activity: ActivityTimer;
  queue: SerialQueue;
  transitions: Transitions;
  consent: PauseConsent;
  wakeTimer: WakeTimer;
  inBackground: (task: () => Promise<void>) => void;
}

/** At the latest then a workload that was busy is asked again. */
const LONGEST_POSTPONEMENT_MS = 60_000;

/** How one instance goes to sleep, on request or because nothing happens: paused, and after a while put away. */
export class FallingAsleep {
  readonly #deps: FallingAsleepDeps;
  readonly #journal: InstanceJournal;

  constructor(deps: FallingAsleepDeps) {
    this.#deps = deps;
    this.#journal = deps.journal;
  }

  /**
   * @param force without asking the workload
   * @throws AegisError `wrong_state` unless running or paused, and when the workload says that it is busy
   */
  async pause(force: boolean): Promise<void> {
    return this.#whenAgreed(force, async () => {
      if (this.#state !== "running" && this.#state !== "paused") throw this.#wrongState("be paused");
      return this.#frozen("paused by request");
    });
  }

  /**
   * From running or paused to disk. Idempotent.
   * @throws AegisError as {@link pause}, `driver_failed` or `disk_full` when it cannot be written down: then it is paused
   */
  async hibernate(force: boolean): Promise<void> {
    const { transitions, wakeTimer } = this.#deps;
    transitions.checkHibernates();
    return this.#whenAgreed(force, async () => {
      if (this.#state === "hibernated") return;
      if (this.#state !== "running" && this.#state !== "paused") throw this.#wrongState("be hibernated");
      await this.#frozen("paused by request, to be hibernated");
      const outcome = await transitions.hibernate("hibernated by request");
      wakeTimer.follow(this.#journal.seen);
      if (outcome.done) return;
      if (outcome.interrupted) throw this.#wrongState("be hibernated: somebody wants it awake");
      this.#journal.say(`could not be hibernated: ${outcome.why}`);
      throw notHibernated(this.#record, outcome);
    });
  }

  async #whenAgreed(force: boolean, act: () => Promise<void>): Promise<void> {
    const { consent, queue, transitions } = this.#deps;
    const mustAgree = !force && consent.needed;
    // one that is about to run is asked when it does
    if (mustAgree && !queue.idle) await queue.run(async () => undefined);
    const { session } = transitions;
    const busy = mustAgree && session !== null && this.#isUp(session) ? await consent.ask(session) : null;
    return queue.run(async () => {
      const running = this.#state === "running";
      if (busy !== null && running) throw pauseRefused(this.#record, busy);
      if (mustAgree && running && transitions.session !== session)
        throw pauseRefused(this.#record, "it was started anew meanwhile");
      return act();
    });
  }

  /** Nothing has happened for as long as the spec says. */
  onIdle(): void {
    const { activity, consent, inBackground, transitions } = this.#deps;
    const { session } = transitions;
    if (session !== null && this.#isUp(session) && consent.needed) return void this.#pauseIfAgreed(session);
    inBackground(() => this.#sleepDeeper().finally(() => activity.rearm()));
  }

  async #sleepDeeper(): Promise<void> {
    const { activity, transitions, wakeTimer } = this.#deps;
    const { pause_after_idle_s, stop_after_paused_s } = this.#record.spec;
    if (activity.holds > 0) return;
    if (this.#state === "running") return this.#freeze(`idle for ${pause_after_idle_s} s`);
    if (this.#state !== "paused") return;
    await transitions.putAway(`paused for ${stop_after_paused_s} s`);
    wakeTimer.follow(this.#journal.seen);
  }

  /** Not in the queue: whoever comes while the workload is asked does not wait for its answer. */
  async #pauseIfAgreed(session: BootSession): Promise<void> {
    const { activity, consent, inBackground } = this.#deps;
    const quietSince = activity.lastTouch;
    const busy = await consent.ask(session);
    const { pause_after_idle_s } = this.#record.spec;
    if (busy !== null && this.#isUp(session)) {
      this.#journal.pausePostponed(busy);
      return activity.defer(Math.min((pause_after_idle_s ?? 0) * 1000, LONGEST_POSTPONEMENT_MS));
    }
    inBackground(async () => {
      const limit = this.#record.spec.pause_after_idle_s;
      if (!this.#isUp(session)) return;
      const quiet = limit !== null && activity.lastTouch === quietSince;
      if (quiet) await this.#frozen(`idle for ${limit} s`);
      else this.tellResumed();
      activity.rearm();
    });
  }

  #frozen(reason: string): Promise<void> {
    return this.#freeze(reason).finally(() => this.tellResumed());
  }

  async #freeze(reason: string): Promise<void> {
    const { consent, transitions, wakeTimer } = this.#deps;
    await transitions.freeze(reason);
    consent.cut();
    wakeTimer.follow(this.#journal.seen);
  }

  /** When the workload agreed to a pause that is over, or never came. */
  tellResumed(): void {
    const { session } = this.#deps.transitions;
    if (session !== null && this.#isUp(session)) this.#deps.consent.tellResumed(session, () => this.#isUp(session));
  }

  #isUp(session: BootSession): boolean {
    return this.#deps.transitions.session === session && this.#state === "running";
  }

  #wrongState(verb: string): AegisError {
    return wrongState(this.#record, this.#journal.seen, verb);
  }

  get #record(): InstanceRecord {
    return this.#journal.record;
  }

  get #state() {
    return this.#journal.seen.state;
  }
}

const notHibernated = (
  { handle }: InstanceRecord,
  { why, code }: { why: string; code: AegisError["code"] },
): AegisError => new AegisError(code, `${handle} could not be hibernated and stays paused: ${why}`);
