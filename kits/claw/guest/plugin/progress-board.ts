import { setTimeout as delay } from "node:timers/promises";
import { ChatBusy } from "./chat.ts";

/** Puts a text where people see it: a message that is edited. @throws ChatBusy */
export type Publish = (text: string) => Promise<void>;

/** The last text is worth another try; those before it are not. */
const LAST_TRIES = 3;
const LAST_PAUSE_MS = 1000;
/** a chat that wants more patience than this keeps an old text */
const MOST_PATIENCE_MS = 60_000;

/**
 * Shows the newest text, at most one every `intervalMs`: chats refuse faster edits. What is overtaken in between is
 * never shown. A text that cannot be shown is given up, but for the last one.
 */
export class ProgressBoard {
  readonly #publish: Publish;
  readonly #intervalMs: () => number;
  readonly #onError: (error: unknown) => void;
  readonly #hurry = new AbortController();
  #wanted: string | null = null;
  #shown: string | null = null;
  #work: Promise<void> | null = null;

  constructor(publish: Publish, intervalMs: () => number, onError: (error: unknown) => void) {
    this.#publish = publish;
    this.#intervalMs = intervalMs;
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
    for (let failures = 0; this.#wanted !== null && this.#wanted !== this.#shown;) {
      const text = this.#wanted;
      this.#shown = text;
      const failure = await this.#publish(text).then(
        () => null,
        (error: unknown) => ({ error }),
      );
      if (failure === null) await this.#pause(this.#intervalMs());
      else {
        this.#onError(failure.error);
        failures += 1;
        await this.#afterFailure(failure.error, failures);
      }
    }
  }

  /** What was not shown is wanted still when the chat only asked for patience, or when it is the last. */
  async #afterFailure(error: unknown, failures: number): Promise<void> {
    const isLast = this.#hurry.signal.aborted;
    if (error instanceof ChatBusy) {
      const tooLong = error.retryAfterMs > MOST_PATIENCE_MS;
      if (tooLong && isLast) return;
      // not even the last text may come earlier
      await (tooLong ? this.#pause(error.retryAfterMs) : delay(error.retryAfterMs));
      this.#shown = null;
    } else if (isLast && failures < LAST_TRIES) {
      await delay(Math.min(LAST_PAUSE_MS, this.#intervalMs()));
      this.#shown = null;
    } else await this.#pause(this.#intervalMs());
  }

  #pause(ms: number): Promise<void> {
    return delay(ms, undefined, { signal: this.#hurry.signal }).catch(ignoreAbort);
  }
}

function ignoreAbort(error: unknown): void {
  if (!(error instanceof Error && error.name === "AbortError")) throw error;
}
