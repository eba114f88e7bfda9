import { BotApiError } from "../bot-api/answer.ts";
import type { Parameters } from "../bot-api/read-parameters.ts";
import type { UpdateQueue } from "../delivery/update-queue.ts";
import type { UpdateSource } from "../upstream.ts";
import { confirmReceived, removeWebhook } from "./claim-updates.ts";
import { type TelegramClient, TelegramFailure } from "./telegram-client.ts";
import type { Trouble } from "./trouble.ts";

const mostUpdates = 100;
/** Telegram itself allows no longer poll. */
const longestPollS = 50;
const answerMs = 15_000;

interface Dependencies {
  client: TelegramClient;
  queue: UpdateQueue;
  trouble: Trouble;
}

/**
 * The bot polls by itself. It gets what an earlier mode had taken over but not delivered, then what Telegram has. One poll
 * at a time goes to Telegram, for a second one there would be a conflict.
 */
export class PolledUpdates implements UpdateSource {
  readonly asked: Promise<void>;
  readonly #deps: Dependencies;
  readonly #closing = new AbortController();
  readonly #firstCall: () => void;
  #claimed = false;
  #failures = 0;
  /** position of the last update of the queue that the bot was given */
  #given: number | null = null;
  #current: { ended: Promise<void>; end: AbortController } | null = null;

  constructor(deps: Dependencies) {
    this.#deps = deps;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.asked = promise;
    this.#firstCall = resolve;
  }

  async take(parameters: Parameters, caller: AbortSignal): Promise<unknown> {
    this.#firstCall();
    await this.#endCurrent();
    const end = new AbortController();
    const { promise: ended, resolve: settled } = Promise.withResolvers<void>();
    this.#current = { ended, end };
    try {
      return await this.#answer(parameters, AbortSignal.any([caller, end.signal, this.#closing.signal]));
    } finally {
      settled();
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#current?.ended;
  }

  /** A bot that asks again has given its last question up, even if its connection has not said so yet. */
  async #endCurrent(): Promise<void> {
    const current = this.#current;
    current?.end.abort();
    await current?.ended;
  }

  async #answer(parameters: Parameters, signal: AbortSignal): Promise<unknown> {
    const { queue } = this.#deps;
    const offset = parameters.number("offset") ?? 0;
    if (this.#given !== null) queue.settleBelow(this.#given, offset);
    const limit = Math.min(Math.max(parameters.number("limit") ?? mostUpdates, 1), mostUpdates);
    const left = queue.batch(limit);
    if (left !== null) {
      this.#given = left.last;
      return left.updates;
    }
    return this.#poll({ offset, limit, ...pollOptions(parameters) }, signal);
  }

  async #poll(parameters: { offset: number; limit: number; timeout: number }, signal: AbortSignal): Promise<unknown> {
    const { client, queue, trouble } = this.#deps;
    try {
      if (!this.#claimed) {
        await removeWebhook(client, signal);
        await confirmReceived(client, queue, signal);
        this.#claimed = true;
      }
      const patience = AbortSignal.timeout(parameters.timeout * 1000 + answerMs);
      const result = await client.call("getUpdates", parameters, AbortSignal.any([signal, patience]));
      queue.raiseOffset(parameters.offset);
      this.#failures = 0;
      trouble.over();
      return result;
    } catch (error) {
      if (!(error instanceof TelegramFailure) || signal.aborted) throw new BotApiError(502, "Bad Gateway");
      this.#failures += 1;
      trouble.met(error, this.#failures);
      // the next call removes it; the bot itself is not told that it may
      if (error.status === 409 && error.message.includes("webhook")) this.#claimed = false;
      throw new BotApiError(error.status || 502, error.message, error.retryAfterS);
    }
  }
}

function pollOptions(parameters: Parameters) {
  const timeout = Math.min(Math.max(parameters.number("timeout") ?? 0, 0), longestPollS);
  const allowed = parameters.value("allowed_updates");
  return { timeout, ...(Array.isArray(allowed) ? { allowed_updates: allowed } : {}) };
}
