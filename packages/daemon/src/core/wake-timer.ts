import type { Observation } from "./instance-record.ts";

/** A timer stands still while the host sleeps and knows nothing of a clock that was set: it looks again that often. */
const LONGEST_WAIT_MS = 60_000;

/** Tells, by the clock on the wall, when an instance is to be woken that asked for it. */
export class WakeTimer {
  readonly #onTime: (wakeAt: string) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(onTime: (wakeAt: string) => void) {
    this.#onTime = onTime;
  }

  /** Takes up what is in there now; a time that is over is now. */
  follow({ state, wakeAt, bootAt }: Pick<Observation, "state" | "wakeAt" | "bootAt">): void {
    this.cancel();
    // a snapshot that is of no use makes a boot of the wake, which takes its time
    const mayBoot = state === "stopped" || state === "hibernated";
    if (wakeAt !== null) this.#arm(wakeAt, Date.parse(mayBoot ? (bootAt ?? wakeAt) : wakeAt));
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }

  #arm(wakeAt: string, at: number): void {
    const remaining = Math.max(at - Date.now(), 0);
    const onTimeout = () => (Date.now() < at ? this.#arm(wakeAt, at) : this.#onTime(wakeAt));
    this.#timer = setTimeout(onTimeout, Math.min(remaining, LONGEST_WAIT_MS));
    this.#timer.unref();
  }
}
