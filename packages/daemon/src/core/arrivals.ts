import { type ActivityTimer, inMs } from "./activity-timer.ts";
import type { Ending } from "./ending.ts";
import type { InstanceJournal } from "./instance-journal.ts";
import { type InstanceRecord, nothingAhead } from "./instance-record.ts";
import type { RestartTimer, RunEnd } from "./restart-timer.ts";

export interface ArrivalsDeps {
  journal: InstanceJournal;
  activity: ActivityTimer;
  restarts: RestartTimer;
  /** its end is that of others below it */
  takesAlong: () => boolean;
  /** it has become stopped or failed */
  onDown: () => void;
  /** it runs, freshly booted or after a pause */
  onUp: () => void;
  /** it is being deleted */
  isRemoved: () => boolean;
}

/** What is written down of one instance when it has come to a state, and what that sets going. */
export class Arrivals {
  readonly #deps: ArrivalsDeps;
  readonly #journal: InstanceJournal;

  constructor(deps: ArrivalsDeps) {
    this.#deps = deps;
    this.#journal = deps.journal;
  }

  /** @param since it counts as idle, in ms since the epoch; written down, so that the next daemon counts no boot and no pause */
  running(reason: string, since = Date.now()): void {
    const lastActiveAt = new Date(since).toISOString();
    this.#journal.transition({ state: "running", wanted: "running", pausedAt: null, lastActiveAt }, reason);
    this.#deps.activity.start(inMs(this.#record.spec.pause_after_idle_s), since);
    this.#deps.onUp();
  }

  paused(reason: string, pausedAt: string, lastActiveAt: string): void {
    this.#journal.transition({ state: "paused", wanted: "paused", lastActiveAt, pausedAt }, reason);
    this.#deps.activity.start(inMs(this.#record.spec.stop_after_paused_s), Date.parse(pausedAt));
  }

  hibernated(reason: string): void {
    this.#journal.transition({ state: "hibernated", wanted: "paused", pausedAt: null }, reason);
  }

  stopped(patch: Ending, reason: string): void {
    const down = { wanted: "stopped", stoppedAt: new Date().toISOString(), pausedAt: null } as const;
    this.#journal.transition({ ...nothingAhead, ...patch, ...down, endsBelow: this.#deps.takesAlong() }, reason);
    this.#deps.onDown();
  }

  /** It ended without anybody asking for that: the restart policy has the word. */
  ended(patch: Ending, reason: string, end: RunEnd): void {
    const { restart } = this.#record.spec;
    const waitMs = this.#record.enabled ? this.#deps.restarts.delayAfter(restart, end) : null;
    if (waitMs === null) return this.stopped(patch, reason);
    const restartAt = new Date(Date.now() + waitMs).toISOString();
    this.stopped({ ...patch, restartAt }, `${reason}; starts again in ${waitMs / 1000} s (restart: ${restart})`);
    if (!this.#deps.isRemoved()) this.#deps.restarts.arm(waitMs);
  }

  get #record(): InstanceRecord {
    return this.#journal.record;
  }
}
