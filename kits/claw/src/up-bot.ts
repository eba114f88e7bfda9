import { createHash } from "node:crypto";
import { AegisError } from "@aegis/protocol/errors";
import type { CreateInstance, InstanceView } from "@aegis/protocol/instance";
import type { AegisClient } from "@aegis/sdk/client";
import { BOT_HANDLE, WEBHOOK_PORT } from "./bot-instance.ts";
import { saveUpState, type UpState } from "./up-state.ts";

/**
 * The bot instance as the spec wants it, on its way up. One that was made with another spec is made anew; its workspace,
 * where everything that it knows is kept, stays.
 */
export async function ensureBot(
  client: AegisClient,
  create: CreateInstance,
  state: UpState,
  folder: string,
): Promise<InstanceView> {
  const spec = createHash("sha256").update(JSON.stringify(create)).digest("hex");
  const existing = await find(client);
  if (existing !== null && state.botSpec === spec) {
    await client.instances.start(existing.id);
    return client.instances.get(existing.id);
  }
  if (existing !== null) await client.instances.delete(existing.id);
  const { id } = await client.instances.create(create);
  saveUpState(folder, Object.assign(state, { botSpec: spec }));
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

async function find(client: AegisClient): Promise<InstanceView | null> {
  try {
    return await client.instances.get(BOT_HANDLE);
  } catch (error) {
    if (error instanceof AegisError && error.code === "instance_not_found") return null;
    throw error;
  }
}
