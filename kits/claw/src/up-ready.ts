import { setTimeout as delay } from "node:timers/promises";
import { AegisError } from "@aegis/protocol/errors";
import type { InstanceView } from "@aegis/protocol/instance";
import type { AegisClient } from "@aegis/sdk/client";
import { waitForInstance } from "@aegis/sdk/instance-watch";
import { hasGivenUp, isDown } from "./up-bot.ts";
import type { Report } from "./up-progress.ts";

/** a virtual machine without KVM, or a small computer, takes minutes */
const DEADLINE_MS = 900_000;
/** longer than it takes on a usual machine */
const SLOW_MS = 60_000;
const PAUSE_MS = 250;
const ATTEMPT_MS = 5000;
const SHOWN_LINES = 8;

interface Signs {
  /** of the webhook on the host */
  port: number;
  /** the bot asks for updates itself; null: its webhook answers instead */
  polls: Promise<void> | null;
  /** after so long it is told where to look */
  slowMs?: number;
}

/**
 * Waits until the bot takes updates. Its webhook comes up in the middle of OpenClaw's start, so there is nothing but to ask.
 * @throws AegisError with the end of the bot's log when it gives up or takes too long
 */
export async function waitUntilReady(
  client: AegisClient,
  bot: InstanceView,
  { port, polls, slowMs = SLOW_MS }: Signs,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const settled = new AbortController();
  const either = AbortSignal.any([signal, settled.signal]);
  const tip = `this takes long: \`npx aegis logs ${bot.handle} -f\` shows what it does`;
  const slow = setTimeout(() => report(tip), slowMs);
  try {
    await Promise.race([
      polls === null ? answers(port, either) : within(polls, either),
      itsEnd(client, bot, report, either),
    ]);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof AegisError)) throw error;
    throw new AegisError(error.code, `${error.message}${await logTail(client, bot)}`, { cause: error });
  } finally {
    clearTimeout(slow);
    settled.abort();
  }
}

async function answers(port: number, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!(await isHealthy(port, signal))) {
    if (Date.now() > deadline) throw tooLate();
    await delay(PAUSE_MS, undefined, { signal });
  }
}

async function within(sign: Promise<void>, signal: AbortSignal): Promise<void> {
  const late = delay(DEADLINE_MS, undefined, { signal }).then(() => Promise.reject(tooLate()));
  await Promise.race([sign, late]);
}

const tooLate = () =>
  new AegisError("guest_unreachable", `The bot was not ready after ${DEADLINE_MS / 60_000} minutes.`);

async function isHealthy(port: number, signal: AbortSignal): Promise<boolean> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(ATTEMPT_MS)]),
    });
    return answer.ok && (await answer.text()).trim() === "ok";
  } catch {
    // nobody listens yet
    signal.throwIfAborted();
    return false;
  }
}

/**
 * Never returns: an instance that has ended for good while it should come up is a failure. One that the restart policy
 * starts again is told of, and waited for: on a machine with a lot to do, OpenClaw may give its own start up.
 */
async function itsEnd(client: AegisClient, bot: InstanceView, report: Report, signal: AbortSignal): Promise<never> {
  const options = { signal, onProgress: report };
  for (let ends = 1; ; ends += 1) {
    const down = await waitForInstance(client, bot.id, isDown, options);
    const ended = hasGivenUp(down) ? down : await waitForInstance(client, bot.id, isSettled, options);
    const often = ends === 1 ? "once" : `${ends} times`;
    if (hasGivenUp(ended))
      throw new AegisError("driver_failed", `The bot instance ended ${often} before it was ready: ${whyOf(ended)}.`);
    report(`it ended ${often} (${whyOf(down)}), and is started again`);
  }
}

/** not between two starts */
const isSettled = (view: InstanceView) => !isDown(view) || hasGivenUp(view);
const whyOf = ({ failure, exit_code }: InstanceView) =>
  failure ?? (exit_code === null ? "it was stopped" : `exit code ${exit_code}`);

async function logTail(client: AegisClient, bot: InstanceView): Promise<string> {
  const lines: string[] = [];
  try {
    for await (const { line } of client.instances.logs(bot.id, { tail: SHOWN_LINES })) lines.push(`\n  ${line}`);
  } catch (error) {
    if (!(error instanceof AegisError)) throw error;
  }
  return lines.length === 0 ? "" : ` The end of its log:${lines.join("")}\nAll of it: npx aegis logs ${bot.handle}`;
}
