import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startEchoModel } from "../../echo-model.ts";
import { SwapFile } from "../../swap-file.ts";
import type { BenchHost } from "../bench-host.ts";
import type { Figure, Series, Unit } from "../figure.ts";
import type { BenchOptions } from "../options.ts";
import { summarise } from "../statistics.ts";
import { BareOpenClaw } from "./bare-openclaw.ts";
import { Chat } from "./chat.ts";
import { KitBot } from "./kit-bot.ts";

const RESTARTS = 3;
const SAMPLES = 8;
const SWAP_SAMPLES = 8;
const WARM_UP = 2;
/** Before each message, whoever gets it: OpenClaw is quicker, by half, with one that comes soon after another. */
const SETTLE_MS = 5000;
const SWAP_MB = 2048;
/** a minute of idling, and another one where OpenClaw asked for it */
const SLEEPS_WITHIN_MIN = 3;
const MB = 1e6;
const TARGETS = { asleepMs: 300, swappedMs: 1500, swappedMb: 40 };

interface Pair {
  kit: KitBot;
  chat: Chat;
  bare: BareOpenClaw;
  bareChat: Chat;
  signal: AbortSignal;
}

/** The bot with the real OpenClaw: what it takes awake and asleep, and OpenClaw run bare on the same host beside it. */
export async function measureClaw({ daemon, signal }: BenchHost, options: BenchOptions): Promise<Figure[]> {
  const { idleMinutes, clawParts } = options;
  await using opened = new AsyncDisposableStack();
  const model = opened.adopt(await startEchoModel(), (echo) => echo.close());
  const chat = opened.use(await Chat.open(signal));
  const bareChat = opened.use(await Chat.open(signal));
  // the last to go: what is in the swap is gone by then
  const swap = opened.use(new DisposableStack());
  const kit = opened.use(new KitBot({ botApi: chat.url, model: model.url }, signal));
  const first = await kit.start();
  const folder = join(daemon.folder, "bare-openclaw");
  const setup = { folder, rootfs: await kit.rootfs(), botApiUrl: bareChat.url, modelUrl: model.url };
  const bare = opened.use(await BareOpenClaw.prepare(setup));
  const pair: Pair = { kit, chat, bare, bareChat, signal };
  const figures: Figure[] = [];
  if (clawParts.includes("boots")) figures.push(...tell(await boots(pair, first)));
  if (clawParts.includes("replies")) figures.push(...tell(await replies(pair)));
  if (clawParts.includes("idle")) figures.push(...tell(await idling(pair, idleMinutes)));
  await bare.stop();
  if (!clawParts.includes("swap")) return figures;
  swap.use(new SwapFile(SWAP_MB));
  return [...figures, ...tell(await swapped(pair))];
}

/** It takes long: what is known is said at once. */
function tell(figures: readonly Figure[]): readonly Figure[] {
  for (const { aegis, unit } of figures)
    process.stderr.write(`  ${aegis.label}: ${summarise(aegis.values).median.toFixed(2)} ${unit}\n`);
  return figures;
}

async function boots({ kit, bare, signal }: Pair, first: number): Promise<Figure[]> {
  const firstBare = await bare.start(signal);
  const [again, bareAgain]: [number[], number[]] = [[], []];
  for (let count = 0; count < RESTARTS; count++) {
    again.push(await kit.restart());
    await bare.stop();
    bareAgain.push(await bare.start(signal));
  }
  return [
    figure("first boot to ready", "ms", [first], { raw: ["OpenClaw started by hand, new state", [firstBare]] }),
    figure("restart to ready", "ms", again, { raw: ["OpenClaw started by hand, its state there", bareAgain] }),
  ];
}

async function replies({ kit, chat, bare, bareChat, signal }: Pair): Promise<Figure[]> {
  await bare.start(signal);
  const [plain, awake, asleep]: [number[], number[], number[]] = [[], [], []];
  for (let round = -WARM_UP; round < SAMPLES; round++) {
    await delay(SETTLE_MS, undefined, { signal });
    const took = [await bareChat.reply(), await chat.reply()] as const;
    await kit.pause();
    await delay(SETTLE_MS, undefined, { signal });
    const woken = await chat.reply();
    if (round < 0) continue;
    plain.push(took[0]);
    awake.push(took[1]);
    asleep.push(woken);
  }
  const { resident_bytes, memory_bytes } = await kit.stats();
  const bareMemory: [string, number[]] = ["OpenClaw's processes on the host (Pss)", [bare.memory]];
  return [
    figure("message to first reply, awake", "ms", awake, { raw: ["OpenClaw on the host", plain] }),
    figure("message to first reply, asleep", "ms", asleep),
    figure("what sleep adds", "ms", beyond(asleep, awake), { target: TARGETS.asleepMs }),
    figure("bot awake, resident", "MB", [resident_bytes / MB], { raw: bareMemory }),
    figure("bot awake, with the files that it has read", "MB", [memory_bytes / MB]),
  ];
}

/** As it is left alone: it goes to sleep by itself after a minute. */
async function idling({ kit, bare, signal }: Pair, minutes: number): Promise<Figure[]> {
  await bare.start(signal);
  const [start, before, bareBefore] = [performance.now(), await kit.cpuTimes(), bare.cpuTime];
  await delay(minutes * 60_000, undefined, { signal });
  const [after, bareAfter, ms] = [await kit.cpuTimes(), bare.cpuTime, performance.now() - start];
  const state = await kit.state();
  if (minutes >= SLEEPS_WITHIN_MIN && state !== "paused")
    throw new Error(`after ${minutes} idle minutes the bot is ${state}`);
  const share = (spent: number): number[] => [(spent / ms) * 100];
  const spent = {
    bot: after.bot - before.bot,
    aegisd: after.aegisd - before.aegisd,
    relay: after.relay - before.relay,
  };
  const { resident_bytes } = await kit.stats();
  const of = `${minutes} idle min, of one core`;
  const all = spent.bot + spent.aegisd + spent.relay;
  return [
    figure(`bot, aegisd and relay, ${of}`, "% CPU", share(all), {
      raw: ["OpenClaw on the host", share(bareAfter - bareBefore)],
    }),
    figure(`  bot, ${of}`, "% CPU", share(spent.bot)),
    figure(`  aegisd, ${of}`, "% CPU", share(spent.aegisd)),
    figure(`  relay, ${of}`, "% CPU", share(spent.relay)),
    figure("bot asleep, without swap, resident", "MB", [resident_bytes / MB]),
  ];
}

async function swapped({ kit, chat, signal }: Pair): Promise<Figure[]> {
  const [left, resident, tookMs, awake, replied]: [number[], number[], number[], number[], number[]] = [
    [],
    [],
    [],
    [],
    [],
  ];
  for (let round = -WARM_UP; round < SWAP_SAMPLES; round++) {
    await delay(SETTLE_MS, undefined, { signal });
    const before = await chat.reply();
    const { after_bytes, took_ms } = await kit.pauseIntoSwap();
    const { resident_bytes } = await kit.stats();
    await delay(SETTLE_MS, undefined, { signal });
    const woken = await chat.reply();
    if (round < 0) continue;
    awake.push(before);
    replied.push(woken);
    left.push(after_bytes / MB);
    resident.push(resident_bytes / MB);
    tookMs.push(took_ms);
  }
  return [
    figure("message to first reply, awake, before each of them", "ms", awake),
    figure("message to first reply, asleep in swap", "ms", replied),
    figure("what sleep in swap adds", "ms", beyond(replied, awake), { target: TARGETS.swappedMs }),
    figure("bot asleep in swap, resident", "MB", resident, { target: TARGETS.swappedMb }),
    figure("bot asleep in swap, all of its control group", "MB", left),
    figure("going to swap, behind everything else", "ms", tookMs),
  ];
}

const beyond = (values: readonly number[], awake: readonly number[]): number[] =>
  values.map((value) => value - summarise(awake).median);

interface Beside {
  raw?: [label: string, values: number[]];
  target?: number;
}

function figure(label: string, unit: Unit, values: number[], { raw, target }: Beside = {}): Figure {
  const series: Series[] = raw === undefined ? [] : [{ label: raw[0], values: raw[1] }];
  return { group: "claw", unit, aegis: { label, values }, raw: series, target: target ?? null };
}
