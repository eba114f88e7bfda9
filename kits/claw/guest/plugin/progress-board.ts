import { setTimeout as delay } from "node:timers/promises";

/** Puts a text where people see it: a message that is edited. */
export type Publish = (text: string) => Promise<void>;

/**
 * Shows the newest text, at most one every `minIntervalMs`: chats refuse faster edits. What is overtaken in between is
 * never shown. A text that cannot be shown is given up: progress is not worth a retry.
 */
export class ProgressBoard {
  readonly #publish: Publish;
  readonly #minIntervalMs: number;
  readonly #onError: (error: unknown) => void;
  readonly #hurry = new AbortController();
  #wanted: string | null = null;
  #shown: string | null = null;
  #work: Promise<void> | null = null;

  constructor(publish: Publish, minIntervalMs: number, onError: (error: unknown) => void) {
    this.#publish = publish;
    this.#minIntervalMs = minIntervalMs;
    this.#onError = onError;
  }

  show(text: string): void {
    this.#wanted = text;
    this.#work ??= this.#run().finally(() => {
      this.#work = null;
      if (this.#wanted !== null && this.#wanted !== this.#shown) this.show(this.#wanted);
    });
  }

  /** Shows the last text without waiting for the interval; settles when it has been shown or given up. */
  async finish(text: string): Promise<void> {
    this.#hurry.abort();
    this.show(text);
    while (this.#work !== null) await this.#work;
  }

  async #run(): Promise<void> {
    // the lines that come in one go are one text
    await Promise.resolve();
    while (this.#wanted !== null && this.#wanted !== this.#shown) {
      const text = this.#wanted;
      this.#shown = text;
      await this.#publish(text).catch(this.#onError);
      await delay(this.#minIntervalMs, undefined, { signal: this.#hurry.signal }).catch(ignoreAbort);
    }
  }
}

function ignoreAbort(error: unknown): void {
  if (!(error instanceof Error && error.name === "AbortError")) throw error;
}
