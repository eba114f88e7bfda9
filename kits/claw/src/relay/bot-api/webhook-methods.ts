import type { UpdateQueue } from "../delivery/update-queue.ts";
import type { Settings } from "../settings.ts";
import type { UpdateSource } from "../upstream.ts";
import { BotApiError } from "./answer.ts";
import type { Parameters } from "./read-parameters.ts";

interface Dependencies {
  settings: Settings;
  queue: UpdateQueue;
  /** null: updates come by the webhook */
  updates: UpdateSource | null;
  /** called when the bot says that it listens */
  onReady: () => void;
}

const names = ["setwebhook", "deletewebhook", "getwebhookinfo", "getupdates", "logout", "close"] as const;
export type WebhookMethod = (typeof names)[number];

/** The method in lower case when it is one that never reaches the upstream: how updates travel is the relay's business. */
export function webhookMethod(method: string): WebhookMethod | null {
  const lower = method.toLowerCase();
  return names.find((name) => name === lower) ?? null;
}

/** Stands in for Telegram where the bot manages its own updates: they come the way that the host has set up. */
export class WebhookMethods {
  readonly #deps: Dependencies;

  constructor(deps: Dependencies) {
    this.#deps = deps;
  }

  /** @param signal ends a call that waits for updates */
  async answer(method: WebhookMethod, parameters: Parameters, signal: AbortSignal): Promise<unknown> {
    switch (method) {
      case "setwebhook":
        return this.#setWebhook(parameters);
      case "deletewebhook":
        return true;
      case "getwebhookinfo":
        return {
          url: this.#deps.updates === null ? (this.#deps.settings.text("webhook_url") ?? "") : "",
          has_custom_certificate: false,
          pending_update_count: this.#deps.queue.pending,
        };
      case "getupdates":
        if (this.#deps.updates !== null) return this.#deps.updates.take(parameters, signal);
        throw new BotApiError(
          409,
          "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first",
        );
      case "logout":
      case "close":
        throw new BotApiError(403, "Forbidden: the relay keeps the bot's session");
    }
  }

  #setWebhook(parameters: Parameters): true {
    const { settings, onReady } = this.#deps;
    settings.set("webhook_url", parameters.text("url") ?? "");
    const allowed = parameters.value("allowed_updates");
    if (Array.isArray(allowed) && allowed.every((kind) => typeof kind === "string")) {
      settings.set("allowed_updates", JSON.stringify(allowed));
    }
    onReady();
    return true;
  }
}
