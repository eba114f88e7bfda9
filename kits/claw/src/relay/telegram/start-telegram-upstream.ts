import type { DatabaseSync } from "node:sqlite";
import type { UpdateQueue } from "../delivery/update-queue.ts";
import type { TelegramUpstreamOptions } from "../options.ts";
import { SentJournal } from "../sent-journal.ts";
import type { Settings } from "../settings.ts";
import { openWebhook } from "./open-webhook.ts";
import { PolledUpdates } from "./polled-updates.ts";
import { Poller } from "./poller.ts";
import { TelegramClient } from "./telegram-client.ts";
import { checkToken, type Intake, TelegramUpstream } from "./telegram-upstream.ts";
import { Trouble } from "./trouble.ts";
import { welcomeOf } from "./welcome.ts";

const retryMs = { first: 1000, longest: 60_000 };

interface Dependencies {
  db: DatabaseSync;
  options: TelegramUpstreamOptions;
  settings: Settings;
  queue: UpdateQueue;
  onQueued: () => void;
  log: (line: string) => void;
  notice: (text: string) => void;
}

/**
 * Checks the token and opens the way of the updates. One way at a time: whatever the last run used, Telegram is told first
 * what has been taken over and then where the rest goes, so nothing is lost and nothing comes twice.
 * @throws AegisError `unauthorized`, `port_taken`
 */
export async function startTelegramUpstream(deps: Dependencies): Promise<TelegramUpstream> {
  const { options, queue, log } = deps;
  const client = new TelegramClient(options.apiRoot, options.token);
  await checkToken(client, log);
  const dropped = queue.belongTo(options.token.split(":")[0] ?? "");
  if (dropped > 0) log(`${dropped} updates of another bot were dropped: the token has changed`);
  const intake = await openIntake(client, deps);
  return new TelegramUpstream({ client, intake, journal: new SentJournal(deps.db), log });
}

async function openIntake(client: TelegramClient, deps: Dependencies): Promise<Intake> {
  const { options } = deps;
  const trouble = new Trouble(deps.notice);
  const shared = { retryMs, ...deps, ...options, client, trouble, welcome: welcomeOf(options) };
  const mode = options.mode ?? { kind: "relay" };
  switch (mode.kind) {
    case "relay": {
      const poller = new Poller(shared);
      poller.start();
      return { updates: null, close: () => poller.close() };
    }
    case "webhook": {
      const webhook = await openWebhook({ ...shared, mode });
      return { updates: null, close: () => webhook.close() };
    }
    case "polling": {
      const updates = new PolledUpdates(shared);
      return { updates, close: () => updates.close() };
    }
  }
}
