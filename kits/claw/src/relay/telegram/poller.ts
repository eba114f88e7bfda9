import { backoffMs, pause } from "../backoff.ts";
import { isUpdate, senderOf, type Update } from "../delivery/lane-of.ts";
import type { UpdateQueue } from "../delivery/update-queue.ts";
import { parseJson } from "../json-value.ts";
import type { Settings } from "../settings.ts";
import { type TelegramClient, TelegramFailure } from "./telegram-client.ts";

const longPollS = 30;
/** Telegram answers within its 30 s; a connection that says nothing for longer is dead. */
const patienceMs = (longPollS + 15) * 1000;

interface Dependencies {
  client: TelegramClient;
  queue: UpdateQueue;
  settings: Settings;
  /** senders that may wake the bot; null: everybody */
  allowFrom: ReadonlySet<number> | null;
  log: (line: string) => void;
  onQueued: () => void;
  /** pause before the first retry and the longest one */
  retryMs?: { first: number; longest: number };
}

/** Fetches updates from Telegram and confirms none before it is on disk. */
export class Poller {
  readonly #deps: Dependencies;
  readonly #closing = new AbortController();
  #done: Promise<void> = Promise.resolve();

  constructor(deps: Dependencies) {
    this.#deps = deps;
  }

  start(): void {
    this.#done = this.#run();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const closing = this.#closing.signal;
    for (let failures = 0; !closing.aborted;) {
      try {
        await this.#pollOnce();
        if (failures > 0) this.#deps.log("Telegram answers again");
        failures = 0;
      } catch (error) {
        if (closing.aborted) return;
        failures += 1;
        await pause(await this.#afterFailure(error, failures), closing);
      }
    }
  }

  async #pollOnce(): Promise<void> {
    const { client, queue } = this.#deps;
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(patienceMs)]);
    const parameters = { offset: queue.offset, timeout: longPollS, allowed_updates: this.#allowedUpdates() };
    const result = await client.call("getUpdates", parameters, signal);
    const updates = Array.isArray(result) ? result.filter(isUpdate) : [];
    const last = updates.at(-1);
    if (!last) return;
    queue.receive(
      updates.filter((update) => this.#isWelcome(update)),
      last.update_id + 1,
    );
    this.#deps.onQueued();
  }

  #isWelcome(update: Update): boolean {
    const sender = senderOf(update);
    return this.#deps.allowFrom === null || (sender !== null && this.#deps.allowFrom.has(sender));
  }

  /** What the bot asked for with setWebhook; an empty list is Telegram's default. */
  #allowedUpdates(): unknown {
    return parseJson(this.#deps.settings.text("allowed_updates") ?? "[]");
  }

  /** Tells the log, mends what can be mended, and says how long to wait. */
  async #afterFailure(error: unknown, failures: number): Promise<number> {
    const { first, longest } = this.#deps.retryMs ?? { first: 1000, longest: 60_000 };
    const waitMs = backoffMs(failures, first, longest);
    const failure = error instanceof TelegramFailure ? error : null;
    if (failures === 1 || failures % 10 === 0) {
      this.#deps.log(`polling Telegram failed: ${failure?.message ?? this.#deps.client.redact(String(error))}`);
    }
    if (failure?.status === 409 && failure.message.includes("webhook")) await this.#removeForeignWebhook();
    return failure?.retryAfterS ? Math.max(waitMs, failure.retryAfterS * 1000) : waitMs;
  }

  /** A webhook that somebody registered with this token keeps getUpdates from working. */
  async #removeForeignWebhook(): Promise<void> {
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(patienceMs)]);
    try {
      await this.#deps.client.call("deleteWebhook", { drop_pending_updates: false }, signal);
      this.#deps.log("removed a webhook from the bot's token: the relay polls");
    } catch (error) {
      this.#deps.log(`deleteWebhook failed: ${error instanceof TelegramFailure ? error.message : "?"}`);
    }
  }
}
