import type { UpdateQueue } from "../delivery/update-queue.ts";
import type { TelegramClient } from "./telegram-client.ts";

/** Telegram answers these at once. */
const patienceMs = 30_000;

export function soon(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]);
}

/** Makes polling possible. What Telegram holds stays there. @throws TelegramFailure */
export async function removeWebhook(client: TelegramClient, signal: AbortSignal): Promise<void> {
  await client.call("deleteWebhook", { drop_pending_updates: false }, soon(signal));
}

/**
 * Tells Telegram what the queue has taken over, before somebody else is to get the rest: a poll confirms only what came
 * before it, so the last batch would come once more. There must be no webhook.
 * @throws TelegramFailure
 */
export async function confirmReceived(client: TelegramClient, queue: UpdateQueue, signal: AbortSignal): Promise<void> {
  if (queue.offset === 0) return;
  await client.call("getUpdates", { offset: queue.offset, limit: 1, timeout: 0 }, soon(signal));
}
