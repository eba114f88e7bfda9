import type { UpdateQueue } from "../delivery/update-queue.ts";
import type { TelegramUpstreamOptions } from "../options.ts";
import type { Settings } from "../settings.ts";
import { Poller } from "./poller.ts";
import { TelegramClient } from "./telegram-client.ts";
import { checkToken, TelegramUpstream } from "./telegram-upstream.ts";

interface Dependencies {
  options: TelegramUpstreamOptions;
  settings: Settings;
  queue: UpdateQueue;
  onQueued: () => void;
  log: (line: string) => void;
}

/** Checks the token and begins to poll. @throws AegisError `unauthorized` */
export async function startTelegramUpstream(deps: Dependencies): Promise<TelegramUpstream> {
  const { options, queue, settings, onQueued, log } = deps;
  const client = new TelegramClient(options.apiRoot, options.token);
  await checkToken(client, log);
  const allowFrom = options.allowFrom ? new Set(options.allowFrom) : null;
  const poller = new Poller({ client, queue, settings, allowFrom, log, onQueued });
  poller.start();
  return new TelegramUpstream(client, poller);
}
