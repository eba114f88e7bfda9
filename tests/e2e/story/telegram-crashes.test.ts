import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AegisError } from "@aegis/protocol/errors";
import { waitForInstance } from "@aegis/sdk/instance-watch";
import { type BotApiDouble, startBotApiDouble } from "../bot-api-double.ts";
import { Random } from "../durability/random.ts";
import { startEchoModel } from "../echo-model.ts";
import { commandOf, pids, signal, textOf } from "../home-on-host.ts";
import { KitFixture } from "../kit-fixture.ts";

const TOKEN = "4242:canary-of-the-real-token";
const PEOPLE = [42, 43, 44];
const TOTAL = Number(process.env["AEGIS_TEST_BOT_MESSAGES"] ?? 60);
const SEED = Number(process.env["AEGIS_TEST_SEED"] ?? Date.now() % 1_000_000);
const ROUNDS = 6;

const random = new Random(SEED);
let telegram: BotApiDouble;
let model: Awaited<ReturnType<typeof startEchoModel>>;
let kit: KitFixture;
const asked: { question: number; person: number }[] = [];
const log: string[] = [];
/** what had no answer when the bot was killed: its turn may begin anew, and then after that of a later message */
const hit = new Set<number>();
/** every kill, and when */
const kills: { what: string; at: number }[] = [];
/** An answer that went out so shortly before a kill may be given again: what the bot knew of it was not yet on disk. */
const DOUBT_MS = 10_000;
/** for what never comes: OpenClaw takes minutes to start where others are at work */
const PATIENCE_MS = 600_000;

const questionsIn = (reply: string): number[] => [...reply.matchAll(/\ba(\d+)\b/g)].map(([, n]) => Number(n));
const answersOf = (chat: number): number[] =>
  telegram.messages.filter(({ chatId }) => chatId === chat).flatMap(({ text }) => questionsIn(text));
const answered = () => new Set(PEOPLE.flatMap(answersOf)).size;

function ask(person = PEOPLE[random.below(PEOPLE.length)] ?? 42): void {
  const question = asked.length;
  asked.push({ question, person });
  telegram.say(`q${question}`, person);
}

/** What is known when an answer does not come. */
async function explain(error: unknown): Promise<never> {
  const seen = new Set(PEOPLE.flatMap(answersOf));
  const missing = asked.filter(({ question }) => !seen.has(question));
  const { state, failure, power_history } = await kit.client.instances.get("claw-bot");
  const folder = join(kit.home, "data/workspaces/claw-bot/state/claw-unanswered");
  const kept = readdirSync(folder).map((name) => textOf(join(folder, name)));
  const bot = JSON.stringify({ state, failure, history: power_history?.slice(-8) });
  const lines = await Array.fromAsync(kit.client.instances.logs("claw-bot"));
  const warned = lines.map(({ ts, line }) => `${ts} ${line}`).filter((line) => line.includes("claw-kit"));
  throw new Error(
    `seed ${SEED}: no answer to ${JSON.stringify(missing)}; the bot remembers ${kept.join(", ") || "nothing"}; ` +
      `it warned: ${warned.slice(-20).join(" | ")}; ${log.join("; ")}; ${telegram.waiting} at Telegram; ${bot}; ` +
      JSON.stringify(telegram.messages.map(({ text }) => text).slice(-20)),
    { cause: error },
  );
}

/** Processes on the host whose command line has all of these words. */
const pidsOf = (...words: string[]): number[] =>
  pids().filter((pid) => words.every((word) => commandOf(pid).includes(word)));

async function tried(call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof AegisError)) throw error;
  }
}

/** Kills the gateway's process, as the bot's instance itself sees it, as soon as there is one. */
const killGateway = `until [ -n "$killed" ]; do
  for p in /proc/[0-9]*; do
    [ $p = /proc/$$ ] && continue
    grep -qa openclaw $p/cmdline && grep -qa gateway $p/cmdline && kill -9 \${p#/proc/} && killed=yes
  done
  sleep 0.1
done`;

/** The restart policy has the word each time, and a message that comes before its wait is over starts the bot at once. */
async function killBot(): Promise<void> {
  await waitForInstance(kit.client, "claw-bot", ({ state }) => state !== "starting" && state !== "stopped");
  const ended = kit.hasBeen("claw-bot", Date.now(), ({ reason }) => reason.includes("starts again in"));
  await tried(() => Array.fromAsync(kit.client.instances.exec("claw-bot", { command: ["sh", "-c", killGateway] })));
  await ended;
}

const mishaps = {
  "bot killed": () => {
    const seen = new Set(PEOPLE.flatMap(answersOf));
    for (const { question } of asked) if (!seen.has(question)) hit.add(question);
    return killBot();
  },
  "bot paused": () => tried(() => kit.client.instances.pause("claw-bot")),
  "kit killed": async () => {
    for (const pid of pidsOf("kits/claw/src/up.ts", kit.home)) signal(pid, "SIGKILL");
    await kit.start("Chat", "--idle", "5");
  },
  "aegisd killed": async () => {
    const { pid } = await kit.client.status();
    process.kill(pid, "SIGKILL");
    await delay(random.below(1000));
    await kit.aegis("up");
  },
};

/** Questions that were answered after a later one of the same chat; in one message the model has them in the order it likes. */
function overtaken(): number[] {
  return PEOPLE.flatMap((person) => {
    const seen = new Set<number>();
    return telegram.messages
      .filter(({ chatId }) => chatId === person)
      .flatMap(({ text }) => {
        const fresh = questionsIn(text).filter((question) => !seen.has(question));
        const late = fresh.filter((question) => [...seen].some((before) => before > question));
        for (const question of fresh) seen.add(question);
        return late;
      });
  });
}

/**
 * Answers that were given again, each with why: a kill that came between and may have hit it on its way, or one that cut its turn
 * off, whose answer OpenClaw had in a queue of its own and sent later.
 */
function repeated(): { text: string; why: string[] }[] {
  return PEOPLE.flatMap((person) => {
    const first = new Map<number, number>();
    return telegram.messages
      .filter(({ chatId }) => chatId === person)
      .flatMap(({ text, at }) => {
        const before = questionsIn(text).flatMap((question) => first.get(question) ?? []);
        for (const question of questionsIn(text)) first.set(question, at);
        if (before.length === 0) return [];
        const cut = questionsIn(text).some((question) => hit.has(question)) ? ["the turn was cut off"] : [];
        const between = kills.filter((kill) =>
          before.some((then) => kill.at <= at && kill.at - then < DOUBT_MS && kill.at > then),
        );
        return [{ text, why: [...cut, ...between.map(({ what }) => what)] }];
      });
  });
}

/** Each of the worst, in an order that follows from the seed. */
function planned(): (keyof typeof mishaps)[] {
  const left: (keyof typeof mishaps)[] = [
    "bot killed",
    "kit killed",
    "aegisd killed",
    "bot paused",
    "bot killed",
    "aegisd killed",
  ];
  return Array.from({ length: ROUNDS }, () => left.splice(random.below(left.length), 1)[0] ?? "bot paused");
}

describe(`${TOTAL} messages to the real OpenClaw while everything dies (seed ${SEED})`, () => {
  beforeAll(async () => {
    telegram = await startBotApiDouble({ token: TOKEN });
    model = await startEchoModel();
    kit = new KitFixture({
      TELEGRAM_BOT_TOKEN: TOKEN,
      TELEGRAM_API_ROOT: telegram.url,
      TELEGRAM_ALLOW_FROM: PEOPLE.join(","),
      OPENAI_BASE_URL: model.url,
      OPENAI_MODEL: "echo",
    });
    await kit.start("Chat", "--idle", "5");
  }, 900_000);

  afterAll(async () => {
    await kit?.interrupt();
    await tried(async () => kit?.aegis("down"));
    const left = await kit?.remove();
    await telegram?.close();
    await model?.close();
    expect(left).toEqual([]);
  }, 120_000);

  it(
    "answers each message once, in the order of its chat where no kill of the bot hit it",
    { timeout: 6 * PATIENCE_MS },
    async () => {
      const began = Date.now();
      const plan = planned();
      let turns = 0;
      for (const what of plan) {
        for (let n = 0; n < TOTAL / ROUNDS / 2; n++) ask();
        // in the middle of the answers, and of those that came after the last mishap
        await expect.poll(() => new Set(model.replies).size, { timeout: PATIENCE_MS }).toBeGreaterThan(turns);
        for (let n = 0; n < TOTAL / ROUNDS / 2; n++) ask();
        log.push(`${what} with ${asked.length - answered()} of ${asked.length} unanswered`);
        if (what.includes("killed")) kills.push({ what, at: Date.now() });
        await mishaps[what]();
        turns = new Set(model.replies).size;
      }
      for (const person of PEOPLE) ask(person);
      // those that were cut off last are asked again when their chat is quiet
      await expect
        .poll(() => asked.length - answered(), { timeout: PATIENCE_MS, interval: 500 })
        .toBe(0)
        .catch(explain);
      const twice = repeated();
      const late = overtaken();
      console.log(
        `${asked.length} messages in ${Math.round((Date.now() - began) / 1000)} s, seed ${SEED}; ${log.join("; ")}; ` +
          `answered twice, and what may have cut the first answer off: ${JSON.stringify(twice)}; ` +
          `answered after a later one: ${JSON.stringify(late)}; other messages: ` +
          JSON.stringify(telegram.messages.map(({ text }) => text).filter((text) => !/\ba\d+\b/.test(text))),
      );
      for (const person of PEOPLE) {
        const questions = asked.filter((one) => one.person === person).map(({ question }) => question);
        expect([...new Set(answersOf(person))].toSorted((one, other) => one - other)).toEqual(questions);
      }
      expect(late.filter((question) => !hit.has(question))).toEqual([]);
      expect(twice.filter(({ why }) => why.length === 0)).toEqual([]);
      // a kill may hit one answer on its way in each chat
      expect(twice.length).toBeLessThanOrEqual(kills.length * PEOPLE.length);
      expect(telegram.conflicts.filter((text) => text.includes("webhook"))).toEqual([]);
    },
  );

  it("an answer that is on its way when the bot is killed gets there, once", { timeout: 2 * PATIENCE_MS }, async () => {
    const outbox = join(kit.home, "data/workspaces/claw-bot/state/claw-outbox");
    const question = asked.length;
    const onItsWay = () => readdirSync(outbox).filter((name) => textOf(join(outbox, name)).includes(`a${question}`));
    const { asked: thinking, release } = model.hold(`a${question}`);
    ask();
    await thinking;
    await telegram.offline();
    release();
    await expect.poll(onItsWay).toHaveLength(1);
    await mishaps["bot killed"]();
    await telegram.online();
    await telegram.waitForMessage(({ text }) => questionsIn(text).includes(question), PATIENCE_MS);
    expect(PEOPLE.flatMap(answersOf).filter((answer) => answer === question)).toHaveLength(1);
    await expect.poll(() => readdirSync(outbox)).toEqual([]);
  });
});
