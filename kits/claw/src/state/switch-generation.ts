import { setTimeout as delay } from "node:timers/promises";
import { AegisError } from "@aegis/protocol/errors";
import type { CreateInstance } from "@aegis/protocol/instance";
import { hasGivenUp } from "../up-bot.ts";
import { type Generation, saveUpState } from "../up-state.ts";
import type { Change } from "./change.ts";

const DEADLINE_MS = 240_000;
const PAUSE_MS = 1000;
const ASK = ["curl", "-fs", "-m", "5", "http://127.0.0.1:18789/healthz"];

/**
 * Gives the bot another image and workspace, and sees that it lives with them; else it gets back what it had. The bot is
 * left running. `keep` is what `aegis kit rollback` goes back to afterwards.
 */
export async function switchGeneration(
  change: Change,
  next: { generation: Generation; image: string },
  keep: Generation | null,
): Promise<void> {
  const { state, folder } = change;
  const { bot: spec, generation, previous } = state;
  if (spec === null) throw new AegisError("wrong_state", "There is no bot yet: start it with aegis kit up claw.");
  const wanted = respecified(spec, next.image, next.generation.workspace);
  try {
    await replace(change, wanted);
    saveUpState(folder, Object.assign(state, { bot: wanted, generation: next.generation, previous: keep }));
    await untilHealthy(change);
  } catch (error) {
    await replace(change, spec);
    saveUpState(folder, Object.assign(state, { bot: spec, generation, previous }));
    throw error;
  }
}

/** The same bot with another image, for itself and for its work, and another workspace. */
export function respecified(spec: CreateInstance, image: string, workspace: string): CreateInstance {
  const renamed = JSON.parse(JSON.stringify(spec.env ?? {}), (_name, value: unknown) => {
    if (typeof value !== "string" || spec.image_ref === undefined) return value;
    return value.replaceAll(JSON.stringify(spec.image_ref), JSON.stringify(image));
  }) as Record<string, string>;
  return { ...spec, image_ref: image, workspace, env: renamed };
}

async function replace({ client, bot }: Change, spec: CreateInstance): Promise<void> {
  await client.instances.replace(bot.id, spec);
  await client.instances.start(bot.id);
}

/** @throws AegisError with the end of the bot's log */
async function untilHealthy({ client, bot, signal }: Change): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    signal.throwIfAborted();
    const now = await client.instances.get(bot.id);
    if (now.state === "running" && (await isHealthy())) return;
    if (hasGivenUp(now) || Date.now() > deadline) break;
    await delay(PAUSE_MS, undefined, { signal });
  }
  const lines: string[] = [];
  for await (const { line } of client.instances.logs(bot.id, { tail: 8 })) lines.push(`\n  ${line}`);
  throw new AegisError("driver_failed", `The bot did not come up, so it was put back as it was.${lines.join("")}`);

  async function isHealthy(): Promise<boolean> {
    try {
      for await (const step of client.instances.exec(bot.id, { command: ASK }, signal))
        if ("exit_code" in step) return step.exit_code === 0;
    } catch (error) {
      if (!(error instanceof AegisError)) throw error;
    }
    return false;
  }
}
