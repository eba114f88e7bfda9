import { setTimeout as delay } from "node:timers/promises";
import type { AegisClient } from "@aegis/sdk/client";

const AGAIN_MS = 2000;
const CLOCK_MARGIN_MS = 2000;

/**
 * A bot that has the key itself takes the new one at its start: it is started again when the secret changes, after the turn
 * that it is in. Until the signal aborts; a daemon that restarts is waited for.
 */
export async function followKey(
  client: AegisClient,
  botId: string,
  secret: string,
  { log, signal }: { log: (line: string) => void; signal: AbortSignal },
): Promise<void> {
  const since = Date.now() - CLOCK_MARGIN_MS;
  let seen = 0;
  while (!signal.aborted) {
    try {
      for await (const event of client.events({ sinceSeq: seen, signal })) {
        seen = event.seq;
        if (event.type !== "secret.changed" || event.name !== secret || event.action !== "set") continue;
        if (Date.parse(event.ts) < since) continue;
        log(`the secret ${secret} has changed: the bot is started again with it`);
        await client.instances.restart(botId);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Error)) throw error;
      await delay(AGAIN_MS);
    }
  }
}
