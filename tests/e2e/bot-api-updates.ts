import type { ServerResponse } from "node:http";
import { ApiError } from "./bot-api-error.ts";
import { WebhookPoster } from "./webhook-poster.ts";

type Json = Record<string, unknown>;

interface Poll {
  release: () => void;
  /** why it ends without updates, as a 409; null: it does not */
  end: string | null;
}

/** Updates until they are taken: confirmed by the next poll, or posted to a webhook. One of both at a time, as Telegram has it. */
export class BotApiUpdates {
  /** the highest offset that a poll has confirmed */
  confirmedOffset = 0;
  readonly #changed: () => void;
  readonly #updates: { update_id: number }[] = [];
  readonly #webhook = new WebhookPoster({
    updates: () => this.#updates,
    taken: (id) => this.#taken(id),
  });
  #poll: Poll | null = null;
  #nextUpdate = 1000;

  /** @param changed called whenever an update is taken or the webhook is set */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get waiting(): number {
    return this.#updates.length;
  }

  /** Where updates are posted to (empty: nowhere), and what went wrong there last. */
  get webhook(): { url: string } {
    return { url: this.#webhook.url, ...this.#webhook.lastError };
  }

  /** @returns the id that the update has got */
  add(update: Json): number {
    const id = this.#nextUpdate++;
    this.#updates.push({ update_id: id, ...update });
    this.#poll?.release();
    this.#webhook.pump();
    return id;
  }

  setWebhook(url: string, secret: string): void {
    this.#webhook.set(url, secret);
    if (url !== "" && this.#poll !== null) this.#poll.end = "Conflict: terminated by setWebhook request";
    if (url !== "") this.#poll?.release();
    this.#changed();
  }

  close(): void {
    this.#poll?.release();
    this.#webhook.close();
  }

  /** getUpdates: what is there, or what comes within its timeout. @throws ApiError 409 when somebody else takes them */
  async poll(parameters: Json, response: ServerResponse): Promise<unknown> {
    if (this.#webhook.url !== "")
      throw new ApiError(409, "Conflict: can't use getUpdates method while webhook is active");
    this.#confirm(Number(parameters["offset"] ?? 0));
    if (this.#poll) {
      this.#poll.end = "Conflict: terminated by other getUpdates request";
      this.#poll.release();
    }
    if (this.#updates.length > 0) return this.#updates.slice(0, Number(parameters["limit"] ?? 100));
    const poll: Poll = { release: () => undefined, end: null };
    this.#poll = poll;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Number(parameters["timeout"] ?? 0) * 1000);
      poll.release = () => {
        clearTimeout(timer);
        resolve();
      };
      response.once("close", poll.release);
    });
    if (this.#poll === poll) this.#poll = null;
    // nobody hears the end of a poll whose caller has gone
    if (poll.end !== null && !response.destroyed) throw new ApiError(409, poll.end);
    return this.#updates.slice(0, 100);
  }

  #confirm(offset: number): void {
    this.confirmedOffset = Math.max(this.confirmedOffset, offset);
    while (this.#updates[0] && this.#updates[0].update_id < offset) this.#updates.shift();
    this.#changed();
  }

  #taken(updateId: number): void {
    const index = this.#updates.findIndex(({ update_id }) => update_id === updateId);
    if (index >= 0) this.#updates.splice(index, 1);
    this.#changed();
  }
}
