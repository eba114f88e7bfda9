import type { RestartPolicy } from "@aegis/protocol/instance";

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 60_000;
/** Who ran for that long has come up: the next end is a new story. */
const HEALTHY_MS = 10_000;
/** A boot that fails again and again will not succeed by being tried for ever. */
const MOST_FAILED_BOOTS = 10;

/** How a run, or the attempt at one, ended. */
export type RunEnd =
  | { kind: "ended"; clean: boolean; ranMs: number }
  /** `passing`: another attempt may have more luck */
  | { kind: "boot_failed"; passing: boolean };

/** Starts an instance again whose workload ended by itself: after 100 ms, then 200 ms, and so on up to a minute. */
export class RestartTimer {
  readonly #restart: () => void;
  #delayMs = FIRST_DELAY_MS;
  #failedBoots = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(restart: () => void) {
    this.#restart = restart;
  }

  /** @returns how long to wait before the next start, or null when there is to be none */
  delayAfter(policy: RestartPolicy, end: RunEnd): number | null {
    if (policy === "no") return null;
    if (end.kind === "boot_failed") {
      this.#failedBoots += 1;
      return end.passing && this.#failedBoots < MOST_FAILED_BOOTS ? this.#nextDelay() : null;
    }
    this.#failedBoots = 0;
    if (end.ranMs >= HEALTHY_MS) this.#delayMs = FIRST_DELAY_MS;
    return policy === "on-failure" && end.clean ? null : this.#nextDelay();
  }

  arm(delayMs: number): void {
    this.cancel();
    this.#timer = setTimeout(this.#restart, Math.max(delayMs, 0));
    this.#timer.unref();
  }

  cancel(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Somebody has decided about the instance: what was before does not count any more. */
  reset(): void {
    this.cancel();
    this.#delayMs = FIRST_DELAY_MS;
    this.#failedBoots = 0;
  }

  #nextDelay(): number {
    const delayMs = this.#delayMs;
    this.#delayMs = Math.min(delayMs * 2, LONGEST_DELAY_MS);
    return delayMs;
  }
}
