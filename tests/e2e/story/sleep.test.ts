import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Conversation } from "../conversation.ts";
import { startEchoModel } from "../echo-model.ts";
import type { KitFixture } from "../kit-fixture.ts";
import { telegramKit, type TelegramKit } from "../telegram-kit.ts";

const BOT = "claw-bot";
const PEOPLE = [42, 43, 44] as const;
const HEARTBEAT_S = 45;
/** the model's answer when there is nothing to say, which is what a heartbeat is about */
const SILENCE = "NO_REPLY";
/** past the bot's own check, which lets no job wait for a sleep of a few seconds */
const JOB_IN_S = 45;

let bot: TelegramKit;
let kit: KitFixture;
let model: Awaited<ReturnType<typeof startEchoModel>>;
let chat: Conversation;

const asleep = () => kit.reaches(BOT, "paused");

/** Why the bot does not let itself be paused now. */
async function refusal(): Promise<string> {
  const refused = await kit.client.instances.pause(BOT).then(
    () => ({ code: "paused" }),
    (error: unknown) => error,
  );
  expect(refused).toMatchObject({ code: "wrong_state" });
  return String(refused);
}

/** Each step goes on from the one before. */
describe("the sleep of the bot, with the real OpenClaw", { timeout: 240_000 }, () => {
  beforeAll(async () => {
    model = await startEchoModel();
    bot = await telegramKit({ people: PEOPLE, model, env: { CLAW_HEARTBEAT_S: String(HEARTBEAT_S) } });
    kit = bot.kit;
    chat = new Conversation(bot.telegram, PEOPLE);
    await kit.start("Chat", "--idle", "4");
  }, 900_000);

  afterAll(() => bot?.end(), 120_000);

  it("a message to a bot that sleeps is answered", async () => {
    await chat.answered(chat.ask(42));
    await asleep();
    const asked = Date.now();
    await chat.answered(chat.ask(42));
    const { power_history = [] } = await kit.client.instances.get(BOT);
    const since = power_history.filter((entry) => Date.parse(entry.since) >= asked);
    expect(since.map(({ reason }) => reason)).toContain("connection to 8787");
  });

  it("no pause comes in the middle of a turn, and the bot says that it is in one", async () => {
    const held = model.hold();
    const question = chat.ask(42);
    await held.asked;
    // where a heartbeat is near, it says that first
    await expect.poll(refusal).toMatch(/active|queued|pending|turn|run/);
    expect((await kit.client.instances.get(BOT)).state).toBe("running");
    held.release();
    await chat.answered(question);
  });

  it("many messages to several people at once, while it sleeps, are answered in the order of each chat", async () => {
    await asleep();
    const burst = Array.from({ length: 12 }, (_, n) => chat.ask(PEOPLE[n % PEOPLE.length]));
    for (const question of burst) await chat.answered(question);
    for (const person of PEOPLE) {
      expect(chat.answersTo(person)).toEqual(chat.questionsOf(person));
    }
  });

  it("a heartbeat wakes it", async () => {
    const slept = Date.now();
    const { wake_at } = await asleep();
    expect(Date.parse(wake_at ?? "")).toBeGreaterThan(Date.now());
    const beats = model.replies.filter((text) => text === SILENCE).length;
    await kit.hasBeen(BOT, slept, ({ reason }) => reason.startsWith("wake asked for"));
    await expect
      .poll(() => model.replies.filter((text) => text === SILENCE).length, { timeout: 60_000 })
      .toBeGreaterThan(beats);
  });

  it("a job is done when it is due, which wakes it, and no pause comes in the middle of it", async () => {
    const question = chat.note(42);
    const due = Date.now() + JOB_IN_S * 1000;
    const job = ["--name", "once", "--at", new Date(due).toISOString(), "--session", "isolated"];
    const told = ["--announce", "--channel", "telegram", "--to", "42"];
    await kit.printed(BOT, ["openclaw", "cron", "add", ...job, "--message", `q${question}`, ...told]);
    await asleep();
    const held = model.hold();
    await held.asked;
    expect(await refusal()).toMatch(/active|queued|pending|cron|run|job/);
    held.release();
    const { at } = await chat.answered(question);
    expect(at).toBeGreaterThanOrEqual(due);
  });

  it("nothing that came was taken twice, or failed at first because the bot had slept", async () => {
    for (const person of PEOPLE) expect(chat.answersTo(person)).toEqual([...new Set(chat.answersTo(person))]);
    const log = await kit.printed(BOT, ["cat", "/tmp/openclaw/openclaw.log"]);
    expect(log).toContain("admission closed: suspend phase");
    expect(log).not.toMatch(/keeping for retry|not initialized/);
  });
});
