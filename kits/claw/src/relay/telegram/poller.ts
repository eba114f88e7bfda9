import { backoffMs, pause } from "../backoff.ts";
import { isUpdate } from "../delivery/lane-of.ts";
import type { UpdateQueue } from "../delivery/update-queue.ts";
import { parseJson } from "../json-value.ts";
import type { RetryMs } from "../options.ts";
import type { Settings } from "../settings.ts";
import { removeWebhook } from "./claim-updates.ts";
import { type TelegramClient, TelegramFailure } from "./telegram-client.ts";
import type { Trouble } from "./trouble.ts";
import type { Welcome } from "./welcome.ts";

const longPollS = 30;
/** Telegram answers within its 30 s; a connection that says nothing for longer is dead. */
const patienceMs = (longPollS + 15) * 1000;

interface Dependencies {
  client: TelegramClient;
  queue: UpdateQueue;
  settings: Settings;
  welcome: Welcome;
  trouble: Trouble;
  log: (line: string) => void;
  onQueued: () => void;
  retryMs: RetryMs;
}

/** Fetches updates from Telegram and confirms none before it is on disk. */
export class Poller {
  readonly #deps: Dependencies;
  readonly #closing = new AbortController();
  #claimed = false;
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
        this.#deps.trouble.over();
        failures = 0;
      } catch (error) {
        if (closing.aborted) return;
        failures += 1;
        await pause(this.#afterFailure(error, failures), closing);
      }
    }
  }

  async #pollOnce(): Promise<void> {
    const { client, queue, welcome } = this.#deps;
    // a webhook, ours of another mode or somebody else's, would make each poll a conflict
    if (!this.#claimed) await removeWebhook(client, this.#closing.signal);
    this.#claimed = true;
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(patienceMs)]);
    const parameters = { offset: queue.offset, timeout: longPollS, allowed_updates: this.#allowedUpdates() };
    const result = await client.call("getUpdates", parameters, signal);
    const updates = this.#readable(result);
    if (updates.length === 0) return;
    const next = Math.max(...updates.map(({ update_id }) => update_id)) + 1;
    queue.receive(
      updates.filter((update) => welcome(update)),
      next,
    );
    this.#deps.onQueued();
  }

  /** @throws TelegramFailure when there is not one update whose id says where to go on */
  #readable(result: unknown) {
    const answers: readonly unknown[] | null = Array.isArray(result) ? result : null;
    const updates = answers?.filter(isUpdate) ?? [];
    const lost = (answers?.length ?? 1) - updates.length;
    if (lost > 0) this.#deps.log(`${lost} of the updates that Telegram sent cannot be read`);
    if (lost > 0 && updates.length === 0) throw new TelegramFailure(0, "getUpdates: no readable update", null);
    return updates;
  }

  /** What the bot asked for with setWebhook; an empty list is Telegram's default. */
  #allowedUpdates(): unknown {
    return parseJson(this.#deps.settings.text("allowed_updates") ?? "[]");
  }

  /** Tells the log and the person, and says how long to wait. */
  #afterFailure(error: unknown, failures: number): number {
    const { retryMs, trouble, client, log } = this.#deps;
    const waitMs = backoffMs(failures, retryMs.first, retryMs.longest);
    const failure = error instanceof TelegramFailure ? error : null;
    if (failures === 1 || failures % 10 === 0) {
      log(`polling Telegram failed: ${failure?.message ?? client.redact(String(error))}`);
    }
    trouble.met(error, failures);
    if (failure?.status === 409 && failure.message.includes("webhook")) this.#claimed = false;
    return failure?.retryAfterS ? Math.max(waitMs, failure.retryAfterS * 1000) : waitMs;
  }
}
