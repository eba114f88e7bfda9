import { createBotApiServer } from "./bot-api/bot-api-server.ts";
import { WebhookMethods } from "./bot-api/webhook-methods.ts";
import { openDatabase } from "./database.ts";
import { Delivery } from "./delivery/delivery.ts";
import { UpdateQueue } from "./delivery/update-queue.ts";
import { closeServer, listen } from "./listen.ts";
import { ChatFeed } from "./local/chat-feed.ts";
import { startLocalUpstream } from "./local/start-local-upstream.ts";
import type { BotPower, Relay, RelayOptions } from "./options.ts";
import { Settings } from "./settings.ts";
import { startTelegramUpstream } from "./telegram/start-telegram-upstream.ts";
import type { Upstream } from "./upstream.ts";

export type { BotPower, Relay, RelayOptions } from "./options.ts";

/**
 * Stands between the bot and its messenger, and never sleeps: it keeps what arrives until the bot has it, and wakes the
 * bot by bringing it.
 * @throws AegisError `port_taken`, `wrong_state` (state folder in use), `unauthorized` (Telegram refuses the token)
 */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const cleanup = new AsyncDisposableStack();
  try {
    return await assemble(options, cleanup);
  } catch (error) {
    await cleanup.disposeAsync();
    throw error;
  }
}

async function assemble(options: RelayOptions, cleanup: AsyncDisposableStack): Promise<Relay> {
  const { relayKey, botToken, webhook } = options;
  const log = withoutSecrets(options, options.log);
  const db = cleanup.adopt(openDatabase(options.stateDir), (open) => open.close());
  const settings = new Settings(db);
  const queue = new UpdateQueue(db, settings);
  const feed = new ChatFeed();
  const onChange = feed.setDelivery.bind(feed);
  const delivery = cleanup.adopt(new Delivery({ queue, webhook, log, onChange }), (open) => open.close());
  // a bot that polls has no webhook to bring anything to
  const polls = options.upstream.kind === "telegram" && options.upstream.mode?.kind === "polling";
  const onQueued = (): void => {
    if (!polls) delivery.wake();
  };
  const notice = options.notice ? withoutSecrets(options, options.notice) : log;

  const upstream = cleanup.adopt(await openUpstream(), (open) => open.close());
  const { updates } = upstream;
  const webhookMethods = new WebhookMethods({ settings, queue, updates, onReady: onQueued });
  const server = createBotApiServer({ relayKey, botToken, upstream, webhook: webhookMethods, log });
  const botApiPort = await listen(server, options.botApi.host, options.botApi.port);
  cleanup.defer(() => closeServer(server));

  // what an earlier run left behind
  onQueued();
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= cleanup.disposeAsync());
  const stopDelivering = (): Promise<void> => delivery.close();
  let last: BotPower = "unknown";
  const setBotPower = (power: BotPower): void => {
    feed.setPower(power);
    // its port answers again: no need to wait for the next try
    if (power === "awake" && last !== "awake") onQueued();
    last = power;
  };
  return {
    botApiPort,
    chatUrl: upstream.chatUrl,
    botPolls: updates?.asked ?? null,
    setBotPower,
    stopDelivering,
    close,
  };

  function openUpstream(): Promise<Upstream> {
    const { stateDir, upstream: chosen } = options;
    switch (chosen.kind) {
      case "local":
        return startLocalUpstream({ options: chosen, stateDir, botToken, db, settings, queue, feed, onQueued, log });
      case "telegram":
        return startTelegramUpstream({ db, options: chosen, settings, queue, onQueued, log, notice });
    }
  }
}

/** The last line of defence: none of the secrets that the relay knows passes into the log. */
function withoutSecrets({ relayKey, webhook, upstream }: RelayOptions, tell: (line: string) => void) {
  const secrets = [relayKey, webhook.secret, ...(upstream.kind === "telegram" ? [upstream.token] : [])];
  const present = secrets.filter((secret) => secret !== "");
  return (line: string): void => tell(present.reduce((text, secret) => text.replaceAll(secret, "<secret>"), line));
}
