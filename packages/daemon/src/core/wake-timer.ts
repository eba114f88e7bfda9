/** A timer stands still while the host sleeps and knows nothing of a clock that was set: it looks again that often. */
const LONGEST_WAIT_MS = 60_000;

/** Tells when a point in time has come, by the clock on the wall. */
export class WakeTimer {
  readonly #onTime: (wakeAt: string) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(onTime: (wakeAt: string) => void) {
    this.#onTime = onTime;
  }

  /** @param wakeAt RFC 3339; one that is over is now. Null: never */
  set(wakeAt: string | null): void {
    clearTimeout(this.#timer);
    if (wakeAt === null) return;
    const remaining = Math.max(Date.parse(wakeAt) - Date.now(), 0);
    const onTimeout = () => (Date.now() < Date.parse(wakeAt) ? this.set(wakeAt) : this.#onTime(wakeAt));
    this.#timer = setTimeout(onTimeout, Math.min(remaining, LONGEST_WAIT_MS));
    this.#timer.unref();
  }
}
