import { isDeepStrictEqual } from "node:util";
import { AegisError } from "@aegis/protocol/errors";
import type { CreateInstance, InstanceView } from "@aegis/protocol/instance";
import type { AegisClient } from "@aegis/sdk/client";
import { BOT_HANDLE, WEBHOOK_PORT } from "./bot-instance.ts";
import { saveUpState, type UpState } from "./up-state.ts";

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

/** @returns null when there is none */
export async function findBot(client: AegisClient): Promise<InstanceView | null> {
  try {
    return await client.instances.get(BOT_HANDLE);
  } catch (error) {
    if (error instanceof AegisError && (error.status === 404 || error.status === 410)) return null;
    throw error;
  }
}
