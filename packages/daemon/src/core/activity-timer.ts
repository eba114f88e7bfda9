/** A time of a spec, in seconds, as a limit of {@link ActivityTimer}: null is never. */
export const inMs = (seconds: number | null): number | null => (seconds === null ? null : seconds * 1000);

/**
 * Tells when nothing has happened for a while. Touching is cheap: the timer is not re-armed, it looks at the time of
 * the last touch when it fires. While somebody holds it, it does not fire.
 */
export class ActivityTimer {
  readonly #onElapsed: () => void;
  #holds = 0;
  #lastTouch = Date.now();
  #limitMs: number | null = null;
  /** whatever the limit says, it does not elapse before */
  #notBefore = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(onElapsed: () => void) {
    this.#onElapsed = onElapsed;
  }

  get holds(): number {
    return this.#holds;
  }

  /** While somebody holds it, that is now. */
  get lastTouch(): number {
    return this.#holds > 0 ? Date.now() : this.#lastTouch;
  }

  /** Starts to count: from now, or from a time in the past, for what was going on before. `null` never elapses. */
  start(limitMs: number | null, since = Date.now()): void {
    this.stop();
    this.#limitMs = limitMs;
    this.#lastTouch = Math.min(since, Date.now());
    this.#notBefore = 0;
    this.#arm();
  }

  /** Another limit, counted from the same touch. */
  change(limitMs: number | null): void {
    this.#limitMs = limitMs;
    this.#arm();
  }

  /** After it has elapsed and nothing came of it: elapses again after that time, unless it is touched. */
  defer(ms: number): void {
    this.#notBefore = Date.now() + ms;
    this.#arm();
  }

  /** After it has elapsed and nothing came of it: elapses again after the same time. */
  rearm(): void {
    if (this.#timer !== undefined || this.#limitMs === null) return;
    this.touch();
    this.#arm();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#limitMs = null;
  }

  touch(): void {
    this.#lastTouch = Date.now();
  }

  /** Keeps the timer from elapsing until the returned function is called; calling it twice is harmless. */
  hold(): () => void {
    this.#holds += 1;
    this.touch();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#holds -= 1;
      this.touch();
      if (this.#holds === 0) this.#arm();
    };
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#limitMs === null || this.#holds > 0) return;
    const remaining = this.#due(this.#limitMs) - Date.now();
    this.#timer = setTimeout(() => this.#check(), Math.min(Math.max(remaining, 0), 2 ** 31 - 1));
    this.#timer.unref();
  }

  #check(): void {
    if (this.#limitMs === null || this.#holds > 0) return;
    if (Date.now() < this.#due(this.#limitMs)) return this.#arm();
    this.#timer = undefined;
    this.#onElapsed();
  }

  #due(limitMs: number): number {
    return Math.max(this.#lastTouch + limitMs, this.#notBefore);
  }
}
