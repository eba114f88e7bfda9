import { backoffMs, pause } from "../backoff.ts";
import type { UpdateQueue } from "../delivery/update-queue.ts";
import { asObject, type JsonObject, parseJson } from "../json-value.ts";
import type { RetryMs } from "../options.ts";
import type { Settings } from "../settings.ts";
import { confirmReceived, soon } from "./claim-updates.ts";
import { type TelegramClient, TelegramFailure } from "./telegram-client.ts";
import type { Trouble } from "./trouble.ts";
import { publicPath } from "./webhook-receiver.ts";

/** A webhook that somebody else has replaced, or that Telegram cannot reach, shows nowhere else. */
const checkEveryMs = 60_000;

interface Dependencies {
  client: TelegramClient;
  queue: UpdateQueue;
  settings: Settings;
  secret: string;
  trouble: Trouble;
  log: (line: string) => void;
  retryMs: RetryMs;
}

/** Keeps Telegram told where to post updates. The webhook stays when we go: updates wait at Telegram until we are back. */
export class WebhookRegistration {
  readonly #deps: Dependencies;
  #current = new AbortController();
  #done: Promise<void> = Promise.resolve();
  #lastError = 0;

  constructor(deps: Dependencies) {
    this.#deps = deps;
  }

  /** From now on they go there. @param publicUrl without the path of the webhook */
  use(publicUrl: string): void {
    this.#current.abort();
    const { signal } = (this.#current = new AbortController());
    this.#done = this.#done.then(() => this.#keep(`${publicUrl}${publicPath}`, signal));
  }

  async close(): Promise<void> {
    this.#current.abort();
    await this.#done;
  }

  async #keep(url: string, signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted;) {
      try {
        await this.#ensure(url, signal);
        failures = 0;
        await pause(Math.min(checkEveryMs, this.#deps.retryMs.longest), signal);
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        await pause(this.#afterFailure(error, failures, url), signal);
      }
    }
  }

  async #ensure(url: string, signal: AbortSignal): Promise<void> {
    const { client, queue, settings, trouble } = this.#deps;
    const info = asObject(await client.call("getWebhookInfo", {}, soon(signal))) ?? {};
    const allowed = parseJson(settings.text("allowed_updates") ?? "[]");
    const wanted = JSON.stringify({ url, allowed });
    const told = settings.text("public_webhook");
    if (info["url"] === url && told === wanted) return this.#look(info);
    // with a webhook nobody has polled: there is nothing to confirm, and a poll would be a conflict
    if (info["url"] === "") await confirmReceived(client, queue, signal);
    else if (told === wanted) trouble.begin("webhook-taken", taken);
    await this.#set(url, allowed, signal);
    settings.set("public_webhook", wanted);
  }

  async #set(url: string, allowed: unknown, signal: AbortSignal): Promise<void> {
    const { client, secret, log } = this.#deps;
    const webhook = { url, secret_token: secret, allowed_updates: allowed, drop_pending_updates: false };
    await client.call("setWebhook", webhook, soon(signal));
    log(`Telegram posts updates to ${url}`);
  }

  /** What Telegram says of its posts to us. */
  #look(info: JsonObject): void {
    const { trouble, log } = this.#deps;
    const at = Number(info["last_error_date"] ?? 0);
    if (at <= this.#lastError) return trouble.over();
    this.#lastError = at;
    const message = info["last_error_message"];
    const why = typeof message === "string" ? message : "no reason given";
    log(`Telegram could not post an update: ${why}`);
    trouble.begin(
      "public-url",
      `Telegram: cannot reach the public URL (${why}). Messages wait at Telegram, and it tries on.`,
    );
  }

  /** @returns how long to wait */
  #afterFailure(error: unknown, failures: number, url: string): number {
    const { trouble, log, retryMs, client } = this.#deps;
    const failure = error instanceof TelegramFailure ? error : null;
    const why = failure?.message ?? client.redact(String(error));
    if (failures === 1 || failures % 10 === 0) log(`the webhook could not be set: ${why}`);
    if (failure?.status === 400)
      trouble.begin(
        "public-url",
        `Telegram: does not take ${url} as the bot's webhook (${why}). It must be https and open to the internet. Trying on meanwhile.`,
      );
    else trouble.met(error, failures);
    return Math.max(backoffMs(failures, retryMs.first, retryMs.longest), (failure?.retryAfterS ?? 0) * 1000);
  }
}

const taken =
  "Telegram: another program has changed the webhook of this bot's token, so messages may have gone there. It is set back; if this comes again, stop that program.";
