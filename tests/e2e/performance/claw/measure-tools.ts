import { join } from "node:path";
import { type BotApiDouble, startBotApiDouble } from "../../bot-api-double.ts";
import { type Orders, PuppetModel } from "../../puppet-model.ts";
import type { BenchHost } from "../bench-host.ts";
import type { Figure } from "../figure.ts";
import { summarise } from "../statistics.ts";
import { orAborted } from "./aborted.ts";
import { BareOpenClaw } from "./bare-openclaw.ts";
import { PERSON, TOKEN } from "./chat.ts";
import { KitBot } from "./kit-bot.ts";

const FIRST_SAMPLES = 8;
const SAMPLES = 30;
/** calls in one turn of the model, an even number; the first two of a turn are dearer, for either */
const A_TURN = 12;
const NOT_COUNTED = 2;
const PATIENCE_MS = 120_000;
const TARGETS = { firstMs: 1000, furtherMs: 60 };
const TRUE: Call = ["exec", { command: "true" }];

type Call = Orders["calls"][number];

/** A chat whose person says what the model is to do; both are asked in turns, so that they share the machine's moods. */
class Desk {
  readonly #telegram: BotApiDouble;
  readonly #model: PuppetModel;
  readonly #signal: AbortSignal;
  #said = 0;

  constructor(telegram: BotApiDouble, model: PuppetModel, signal: AbortSignal) {
    this.#telegram = telegram;
    this.#model = model;
    this.#signal = signal;
  }

  /** @returns ms from each call, as the model makes it, to its result, as the model gets it */
  async use(calls: Call[]): Promise<number[]> {
    const word = `done-${++this.#said}.`;
    this.#telegram.say(JSON.stringify({ calls, say: word } satisfies Orders), PERSON);
    await orAborted(
      this.#telegram.waitForMessage(({ text }) => text.includes(word), PATIENCE_MS),
      this.#signal,
    );
    const failed = this.#model.results.find((result) => /"status": "error"|exited with code/.test(result));
    if (failed !== undefined) throw new Error(`a tool of the bot failed: ${failed}`);
    return [...this.#model.took];
  }
}

/** The tools of the bot's own agent in the sandbox of its chat, and the same tools of OpenClaw bare on the host. */
export async function measureTools({ daemon, signal }: BenchHost): Promise<Figure[]> {
  await using opened = new AsyncDisposableStack();
  const open = async () => {
    const model = opened.adopt(await PuppetModel.start(), (puppet) => puppet.close());
    const telegram = opened.adopt(await startBotApiDouble({ token: TOKEN }), (double) => double.close());
    return { model, telegram, desk: new Desk(telegram, model, signal) };
  };
  const [own, plain] = [await open(), await open()];
  const kit = opened.use(new KitBot({ botApi: own.telegram.url, model: own.model.url }, signal));
  await kit.start();
  const folder = join(daemon.folder, "bare-openclaw-tools");
  const urls = { botApiUrl: plain.telegram.url, modelUrl: plain.model.url };
  const bare = opened.use(await BareOpenClaw.prepare({ folder, rootfs: await kit.rootfs(), ...urls, hasTools: true }));
  await bare.start(signal);
  await plain.desk.use([TRUE]);
  const first = await firstCalls(kit, own.desk);
  const woken = await wokenCalls(kit, own.desk);
  return [
    row("first command, which makes the sandbox", first, null, TARGETS.firstMs),
    row("first command after the sandbox slept", woken, null, TARGETS.firstMs),
    ...(await furtherCalls(own.desk, plain.desk)),
  ];
}

async function firstCalls(kit: KitBot, desk: Desk): Promise<number[]> {
  const took: number[] = [];
  for (let round = -1; round < FIRST_SAMPLES; round++) {
    await kit.deleteSandboxes();
    const [first = Number.NaN] = await desk.use([TRUE]);
    if (round >= 0) took.push(first);
  }
  return took;
}

async function wokenCalls(kit: KitBot, desk: Desk): Promise<number[]> {
  const took: number[] = [];
  for (let round = 0; round < FIRST_SAMPLES; round++) {
    await kit.pauseSandboxes();
    const [first = Number.NaN] = await desk.use([TRUE]);
    took.push(first);
  }
  return took;
}

async function furtherCalls(own: Desk, plain: Desk): Promise<Figure[]> {
  const edit = (oldText: string, newText: string): Call => ["edit", { path: "file.txt", oldText, newText }];
  const write = (content: string): Call => ["write", { path: "file.txt", content }];
  const kinds: [string, Call, Call?][] = [
    ["exec of `true`", TRUE],
    // the same once more would write nothing
    ["write", write("one\n"), write("one\ntwo\n")],
    ["read", ["read", { path: "file.txt" }]],
    ["edit", edit("two", "three"), edit("three", "two")],
  ];
  const figures: Figure[] = [];
  for (const [label, call, next = call] of kinds) {
    const turn = Array.from({ length: A_TURN }, (_, at) => (at % 2 === 0 ? call : next));
    const [ours, theirs]: [number[], number[]] = [[], []];
    while (ours.length < SAMPLES) {
      ours.push(...(await own.use(turn)).slice(NOT_COUNTED));
      theirs.push(...(await plain.use(turn)).slice(NOT_COUNTED));
    }
    figures.push(row(`${label}, in the sandbox`, ours, theirs, null));
    const bare = summarise(theirs).median;
    const added = ours.map((value) => value - bare);
    figures.push(row(`what the sandbox adds to ${label}`, added, null, TARGETS.furtherMs));
  }
  return figures;
}

function row(label: string, values: number[], bare: number[] | null, target: number | null): Figure {
  const raw = bare === null ? [] : [{ label: "OpenClaw's own on the host", values: bare }];
  return { group: "tools", unit: "ms", aegis: { label, values }, raw, target };
}
