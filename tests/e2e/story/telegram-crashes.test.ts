import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AegisError } from "@aegis/protocol/errors";
import { waitForInstance } from "@aegis/sdk/instance-watch";
import { type BotApiDouble, startBotApiDouble } from "../bot-api-double.ts";
import { Random } from "../durability/random.ts";
import { startEchoModel } from "../echo-model.ts";
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

const questionsIn = (reply: string): number[] => [...reply.matchAll(/\ba(\d+)\b/g)].map(([, n]) => Number(n));
const answersOf = (chat: number): number[] =>
  telegram.messages.filter(({ chatId }) => chatId === chat).flatMap(({ text }) => questionsIn(text));
const answered = () => new Set(PEOPLE.flatMap(answersOf)).size;

function ask(): void {
  const question = asked.length;
  const person = PEOPLE[random.below(PEOPLE.length)] ?? 42;
  asked.push({ question, person });
  telegram.say(`q${question}`, person);
}

/** Processes on the host whose command line has all of these words. */
function pidsOf(...words: string[]): number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, "utf8");
      return words.every((word) => command.includes(word)) ? [Number(name)] : [];
    } catch (error) {
      // it has ended in between
      if (error instanceof Error) return [];
      throw error;
    }
  });
}

async function tried(call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof AegisError)) throw error;
  }
}

/** The gateway's process, as the bot's instance itself sees it. */
const killGateway =
  "for p in /proc/[0-9]*; do [ $p = /proc/$$ ] && continue; grep -qa openclaw $p/cmdline && grep -qa gateway $p/cmdline && kill -9 ${p#/proc/}; done";

const mishaps = {
  "bot killed": () =>
    tried(async () => {
      const steps = kit.client.instances.exec("claw-bot", { command: ["sh", "-c", killGateway] });
      await Array.fromAsync(steps);
    }),
  "bot paused": () => tried(() => kit.client.instances.pause("claw-bot")),
  "kit killed": async () => {
    for (const pid of pidsOf("kits/claw/src/up.ts", kit.home)) process.kill(pid, "SIGKILL");
    await kit.start("Chat", "--idle", "5");
  },
  "aegisd killed": async () => {
    const { pid } = await kit.client.status();
    process.kill(pid, "SIGKILL");
    await delay(random.below(1000));
    await kit.aegis("up");
  },
};

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
    "takes every one into a turn, and answers in the order of each chat, all but what a kill of the bot hit on its way",
    { timeout: 1_200_000 },
    async () => {
      const began = Date.now();
      const plan = planned();
      let turns = 0;
      for (const what of plan) {
        for (let n = 0; n < TOTAL / ROUNDS / 2; n++) ask();
        // in the middle of the answers
        await expect.poll(() => new Set(model.replies).size, { timeout: 180_000 }).toBeGreaterThan(turns);
        turns = new Set(model.replies).size;
        for (let n = 0; n < TOTAL / ROUNDS / 2; n++) ask();
        log.push(`${what} with ${asked.length - answered()} of ${asked.length} unanswered`);
        await mishaps[what]();
      }
      const replied = () => new Set(model.replies.flatMap(questionsIn)).size;
      await expect.poll(replied, { timeout: 300_000, interval: 500 }).toBe(asked.length);
      // what it still has to say it says before it sleeps
      if (answered() < asked.length) await waitForInstance(kit.client, "claw-bot", ({ state }) => state === "paused");
      const twice: number[] = [];
      for (const person of PEOPLE) {
        const questions = asked.filter((one) => one.person === person).map(({ question }) => question);
        const answers = answersOf(person);
        expect([...new Set(answers)]).toEqual(questions.filter((question) => answers.includes(question)));
        twice.push(...answers.filter((answer, index) => answers.indexOf(answer) !== index));
      }
      // OpenClaw does not send again what it was handing over when it was killed: it cannot know, and says so in the next turn
      const seen = new Set(PEOPLE.flatMap(answersOf));
      const unsent = [...new Set(model.replies)].filter((reply) => questionsIn(reply).some((one) => !seen.has(one)));
      console.log(
        `${asked.length} messages in ${Math.round((Date.now() - began) / 1000)} s, seed ${SEED}; ${log.join("; ")}; ` +
          `without an answer in the chat: ${JSON.stringify(unsent)}; answered twice: ${JSON.stringify(twice)}; other messages: ` +
          JSON.stringify(telegram.messages.map(({ text }) => text).filter((text) => !/\ba\d+\b/.test(text))),
      );
      const botKills = plan.filter((what) => what === "bot killed").length;
      expect(unsent.length).toBeLessThanOrEqual(botKills * PEOPLE.length);
      // a kill may hit one answer on its way in each chat, and an answer may be for two questions
      const kills = log.filter((line) => line.includes("killed")).length;
      expect(twice.length).toBeLessThanOrEqual(kills * PEOPLE.length);
      const { power_history } = await kit.client.instances.get("claw-bot");
      // the policy has the word each time, and a message that comes before its wait is over starts the bot at once
      const restarts = power_history?.filter(({ reason }) => reason.includes("starts again in")) ?? [];
      expect(restarts.length).toBeGreaterThanOrEqual(botKills);
      expect(telegram.conflicts.filter((text) => text.includes("webhook"))).toEqual([]);
    },
  );
});
