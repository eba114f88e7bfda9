import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import type { InstanceView } from "@aegis/protocol/instance";
import { aegisHome } from "@aegis/sdk/aegis-home";
import type { AegisClient } from "@aegis/sdk/client";
import { openHomeFolder } from "@aegis/sdk/home-folder";
import { withFileLock } from "../image/work-folder-lock.ts";
import type { Env } from "../setting-values.ts";
import { findBot, isDown } from "../up-bot.ts";
import { UpLock } from "../up-lock.ts";
import { UpProgress } from "../up-progress.ts";
import { lastUpState, type UpState } from "../up-state.ts";
import { stopSignal } from "../up-stop.ts";
import { withDaemon } from "../with-daemon.ts";

/** What every change of the bot's state has at hand. */
export interface Change {
  client: AegisClient;
  /** the kit's folder in the home */
  folder: string;
  state: UpState;
  bot: InstanceView;
  progress: UpProgress;
  signal: AbortSignal;
}

/**
 * One change of the bot's state at a time. A kit that runs goes on running, and messages wait in its relay; one that does not
 * cannot be started meanwhile.
 * @throws AegisError `wrong_state` when there is no bot
 */
export async function changeState<T>(env: Env, work: (change: Change) => Promise<T>): Promise<T> {
  const home = aegisHome(env);
  const folder = openHomeFolder({ home, env }, "claw");
  const progress = new UpProgress(process.stderr);
  const signal = stopSignal(() => progress.say("going back to how it was"));
  lastUpState(folder);
  return withFileLock(
    join(folder, "change.lock"),
    async () => {
      const held = UpLock.holder(folder) === null ? UpLock.take(folder) : null;
      try {
        return await withDaemon({ home, env }, async (client) => {
          const bot = await findBot(client);
          if (bot === null)
            throw new AegisError("wrong_state", "There is no bot yet: start it with aegis kit up claw.");
          return work({ client, folder, state: lastUpState(folder), bot, progress, signal });
        });
      } finally {
        held?.release();
      }
    },
    signal,
  );
}

/** The bot is down, and nothing wakes it, until the work is done; then it is as it was before. */
export async function whileBotIsDown<T>({ client, bot }: Change, work: () => Promise<T>): Promise<T> {
  const before = await client.instances.get(bot.id);
  await client.instances.disable(bot.id);
  try {
    return await work();
  } finally {
    if (before.enabled) await client.instances.start(bot.id);
    if (before.enabled && isDown(before)) await client.instances.stop(bot.id);
  }
}
