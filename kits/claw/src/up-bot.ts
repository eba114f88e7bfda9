import { isDeepStrictEqual } from "node:util";
import { AegisError } from "@aegis/protocol/errors";
import type { CreateInstance, InstanceView } from "@aegis/protocol/instance";
import type { AegisClient } from "@aegis/sdk/client";
import { BOT_HANDLE, WEBHOOK_PORT } from "./bot-instance.ts";
import { saveUpState, type UpState } from "./up-state.ts";

/** The policy waits 0.1 s, then twice as long each time: more than this after the seventh end in a row. */
const SOON_MS = 5000;

/**
 * The bot instance as the spec wants it, on its way up. One that was made with another spec gets the new one and keeps
 * its work instances, its ports, and its workspace with everything that it knows.
 */
export async function ensureBot(
  client: AegisClient,
  create: CreateInstance,
  state: UpState,
  folder: string,
): Promise<InstanceView> {
  const existing = await findBot(client);
  const isSame = isDeepStrictEqual(state.bot, JSON.parse(JSON.stringify(create)));
  if (existing !== null && !isSame) await client.instances.replace(existing.id, create);
  const { id } = existing ?? (await client.instances.create(create));
  saveUpState(folder, Object.assign(state, { bot: create }));
  if (existing !== null) await client.instances.start(id);
  return client.instances.get(id);
}

/** Where the bot's webhook listens for the host. */
export function webhookPort(bot: InstanceView): number {
  const endpoint = bot.endpoints.find(({ guest_port }) => guest_port === WEBHOOK_PORT);
  if (endpoint !== undefined) return endpoint.public_port;
  throw new AegisError(
    "endpoint_not_found",
    `${BOT_HANDLE} has no public port for its port ${WEBHOOK_PORT}: delete it, then start again.`,
  );
}

export const isDown = ({ state }: InstanceView): boolean => state === "stopped" || state === "failed";

/** It is down, and nothing starts it again; or it has ended so often, at once, that the restart policy takes its time. */
export const hasGivenUp = (view: InstanceView): boolean =>
  isDown(view) && (view.restart_at === null || Date.parse(view.restart_at) - Date.now() > SOON_MS);

/** @returns null when there is none */
export async function findBot(client: AegisClient): Promise<InstanceView | null> {
  try {
    return await client.instances.get(BOT_HANDLE);
  } catch (error) {
    if (error instanceof AegisError && (error.status === 404 || error.status === 410)) return null;
    throw error;
  }
}
