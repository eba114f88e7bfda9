const FIRST_DELAY_MS = 50;
const LONGEST_DELAY_MS = 5000;

/**
 * Tries again to wake a machine that somebody waits in: after 50 ms, then 100 ms, and so on up to 5 s. Who is in there
 * already cannot ask once more.
 */
export class WakeRetry {
  readonly #wake: (reason: string) => void;
  #delayMs = FIRST_DELAY_MS;
  #timer: NodeJS.Timeout | undefined;

  constructor(wake: (reason: string) => void) {
    this.#wake = wake;
  }

  arm(reason: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#wake(reason), this.#delayMs);
    this.#timer.unref();
    this.#delayMs = Math.min(this.#delayMs * 2, LONGEST_DELAY_MS);
  }

  /** Nobody waits any more. */
  reset(): void {
    clearTimeout(this.#timer);
    this.#delayMs = FIRST_DELAY_MS;
  }
}
