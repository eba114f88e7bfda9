const FREE_TRIES = 5;
const LONGEST_MS = 60_000;
/** of previews whose password was guessed wrong lately */
const MAX_KEPT = 1000;

/** After a few wrong passwords each further one has to wait, twice as long each time. */
export class PasswordPace {
  readonly #now: () => number;
  readonly #wrong = new Map<string, { tries: number; next: number }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** @returns ms until the next try is allowed; 0: now */
  wait(previewId: string): number {
    return Math.max((this.#wrong.get(previewId)?.next ?? 0) - this.#now(), 0);
  }

  failed(previewId: string): void {
    const tries = (this.#wrong.get(previewId)?.tries ?? 0) + 1;
    const pause = tries < FREE_TRIES ? 0 : Math.min(1000 * 2 ** (tries - FREE_TRIES), LONGEST_MS);
    this.#wrong.delete(previewId);
    this.#wrong.set(previewId, { tries, next: this.#now() + pause });
    const [oldest] = this.#wrong.keys();
    if (this.#wrong.size > MAX_KEPT && oldest !== undefined) this.#wrong.delete(oldest);
  }

  succeeded(previewId: string): void {
    this.#wrong.delete(previewId);
  }
}
