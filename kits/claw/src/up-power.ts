import { setTimeout as delay } from "node:timers/promises";
import type { InstanceState } from "@aegis/protocol/instance";
import type { AegisClient } from "@aegis/sdk/client";
import type { BotPower } from "./relay/options.ts";

const AGAIN_MS = 2000;
const CLOCK_MARGIN_MS = 2000;

/** Tells whether the bot sleeps, each time that changes, until the signal aborts; a daemon that restarts is waited for. */
export async function followBotPower(
  client: AegisClient,
  botId: string,
  tell: (power: BotPower) => void,
  signal: AbortSignal,
): Promise<void> {
  let seen = 0;
  while (!signal.aborted) {
    try {
      let known = (await client.instances.get(botId, signal)).state;
      tell(powerOf(known));
      const since = Date.now() - CLOCK_MARGIN_MS;
      for await (const event of client.events({ sinceSeq: seen, signal })) {
        seen = event.seq;
        // what is older is history, and the look at the instance knew it
        if (event.type !== "instance.state" || event.instance_id !== botId || Date.parse(event.ts) < since) continue;
        if (event.state !== known) tell(powerOf(event.state));
        known = event.state;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Error)) throw error;
      tell("unknown");
      await delay(AGAIN_MS);
    }
  }
}

function powerOf(state: InstanceState): BotPower {
  switch (state) {
    case "running":
      return "awake";
    case "starting":
      return "waking";
    case "paused":
    case "hibernated":
    case "stopped":
    case "failed":
      return "asleep";
  }
}
