import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { waitForInstance } from "@aegis/sdk/instance-watch";
import { type BotApiDouble, type BotMessage, startBotApiDouble } from "../bot-api-double.ts";
import { startEchoModel } from "../echo-model.ts";
import { KitFixture } from "../kit-fixture.ts";

const TOKEN = "4242:canary-of-the-real-token";
const PEOPLE = [42, 43];
const GROUP = -100_777;
const TUNNEL = `node -e "console.log('| http://127.0.0.1:{port}/t' + process.pid + ' |'); setTimeout(() => {}, 1e9)"`;
/** a person writes this often, whatever the kit is doing */
const EVERY_MS = 2500;

let telegram: BotApiDouble;
let model: Awaited<ReturnType<typeof startEchoModel>>;
let kit: KitFixture;
let writing: NodeJS.Timeout | undefined;
const asked: { question: number; person: number }[] = [];

const person = (n: number) => PEOPLE[n % PEOPLE.length] ?? 42;

function ask(from = person(asked.length)): number {
  const question = asked.length;
  asked.push({ question, person: from });
  telegram.say(`q${question}`, from);
  return question;
}

const answersIn = ({ text }: BotMessage): number[] => [...text.matchAll(/\ba(\d+)\b/g)].map(([, n]) => Number(n));
const answers = (chat: number): number[] =>
  telegram.messages.filter(({ chatId }) => chatId === chat).flatMap(answersIn);
const answered = (question: number) =>
  telegram.waitForMessage((message) => answersIn(message).includes(question), 120_000);
const bot = () => kit.client.instances.get("claw-bot");
const asleep = () => waitForInstance(kit.client, "claw-bot", ({ state }) => state === "paused");

/** The kit as it is started with other settings; people go on writing meanwhile. */
async function switchTo(settings: Record<string, string>): Promise<void> {
  await kit.interrupt();
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
  mkdirSync(join(kit.home, "claw"), { recursive: true, mode: 0o700 });
  writeFileSync(join(kit.home, "claw/settings.env"), lines.join(""), { mode: 0o600 });
  await kit.start("Chat", "--idle", "4");
}

function startWriting(): void {
  writing = setInterval(() => ask(), EVERY_MS);
}

function stopWriting(): void {
  clearInterval(writing);
  writing = undefined;
}

async function allAnswered(): Promise<void> {
  for (const { question } of asked) await answered(question);
}

/** Each step goes on from the one before. */
describe("the ways of updates, with the real OpenClaw", { timeout: 300_000 }, () => {
  beforeAll(async () => {
    telegram = await startBotApiDouble({ token: TOKEN });
    model = await startEchoModel();
    kit = new KitFixture({
      TELEGRAM_BOT_TOKEN: TOKEN,
      TELEGRAM_API_ROOT: telegram.url,
      TELEGRAM_ALLOW_FROM: PEOPLE.join(","),
      TELEGRAM_GROUPS: String(GROUP),
      OPENAI_BASE_URL: model.url,
      OPENAI_MODEL: "echo",
    });
    ask();
    await switchTo({});
  }, 900_000);

  afterAll(async () => {
    stopWriting();
    const left = await kit?.remove();
    await telegram?.close();
    await model?.close();
    expect(left).toEqual([]);
  }, 120_000);

  it("relay: the bot sleeps, and a message wakes it", async () => {
    await answered(0);
    await asleep();
    await answered(ask());
    expect(telegram.webhookUrl).toBe("");
  });

  it("relay: pictures, voice and documents go both ways", async () => {
    const from = { id: 42, is_bot: false, first_name: "Ada" };
    const chat = { id: 42, type: "private", first_name: "Ada" };
    const files: Record<string, object> = {
      "photo.jpg": { photo: [{ file_id: "photo.jpg", file_unique_id: "p", width: 2, height: 2, file_size: 5000 }] },
      "voice.ogg": { voice: { file_id: "voice.ogg", file_unique_id: "v", duration: 1, mime_type: "audio/ogg" } },
      "notes.txt": {
        document: { file_id: "notes.txt", file_unique_id: "d", file_name: "notes.txt", mime_type: "text/plain" },
      },
    };
    for (const [name, media] of Object.entries(files)) {
      telegram.files.set(name, Buffer.alloc(5000, name));
      const question = asked.length;
      asked.push({ question, person: 42 });
      const date = Math.floor(Date.now() / 1000);
      telegram.inject({
        message: { message_id: 5000 + question, from, chat, date, caption: `q${question}`, ...media },
      });
      await answered(question);
    }
    expect(telegram.downloads.toSorted()).toEqual(Object.keys(files).toSorted());

    const file = "/workspace/agent/out.bin";
    const script = `head -c 300000 /dev/urandom > ${file}; openclaw message send --channel telegram --target 42 --message sent --media ${file}`;
    const env = { OPENCLAW_STATE_DIR: "/workspace/state", OPENCLAW_CONFIG_PATH: "/workspace/state/openclaw.json" };
    const output: string[] = [];
    for await (const step of kit.client.instances.exec("claw-bot", { command: ["sh", "-c", script], env }))
      if ("line" in step) output.push(step.line);
    const sent = telegram.calls.find((call) => call.files.size > 0);
    expect(sent?.method, output.join("\n")).toBe("sendDocument");
    expect([...(sent?.files.values() ?? [])].map(({ length }) => length)).toEqual([300_000]);
  });

  it("relay: in a group it answers whom it may, when it is mentioned", async () => {
    const chat = { id: GROUP, type: "supergroup", title: "Lobsters" };
    const say = (id: number, text: string, mention: boolean) => {
      const message = { message_id: 9000 + telegram.messages.length + asked.length, chat, text, date: 1_790_000_000 };
      const entities = mention ? [{ type: "mention", offset: 0, length: "@claw_double_bot".length }] : [];
      telegram.inject({ message: { ...message, from: { id, is_bot: false, first_name: "G" }, entities } });
    };
    say(42, "q900001", false);
    say(666, "@claw_double_bot q900002", true);
    say(42, "@claw_double_bot q900003", true);
    await telegram.waitForMessage(({ chatId, text }) => chatId === GROUP && text.includes("a900003"), 120_000);
    expect(answers(GROUP)).not.toContain(900_002);
    expect(telegram.messages.filter(({ chatId }) => chatId === GROUP)).toHaveLength(1);
  });

  it("relay: an edited message is no new question", async () => {
    const message_id = 7000;
    const from = { id: 42, is_bot: false, first_name: "Ada" };
    const chat = { id: 42, type: "private", first_name: "Ada" };
    const date = Math.floor(Date.now() / 1000);
    const text = `q${asked.length}`;
    asked.push({ question: asked.length, person: 42 });
    telegram.inject({ message: { message_id, from, chat, date, text } });
    await answered(asked.length - 1);
    telegram.inject({
      edited_message: { message_id, from, chat, date, edit_date: date + 1, text: `${text} (edited)` },
    });
    await answered(ask(42));
    expect(answers(42).filter((answer) => answer === asked.length - 2)).toHaveLength(1);
  });

  it("webhook: behind a tunnel, the POST wakes the bot; without the secret nothing does", async () => {
    startWriting();
    await switchTo({
      TELEGRAM_MODE: "webhook",
      TELEGRAM_TUNNEL_COMMAND: TUNNEL,
      TELEGRAM_TUNNEL_URL_PATTERN: String.raw`\| (\S+) \|`,
    });
    await telegram.until(() => telegram.webhookUrl !== "");
    await answered(ask());
    stopWriting();
    await allAnswered();
    await asleep();
    const stranger = await fetch(telegram.webhookUrl, { method: "POST", body: "{}" });
    expect(stranger.status).toBe(401);
    expect((await bot()).state).toBe("paused");
    await answered(ask());
  });

  it("polling: OpenClaw asks itself, through the host, and is kept awake by the kit's lease", async () => {
    startWriting();
    await switchTo({ TELEGRAM_MODE: "polling" });
    await answered(ask());
    stopWriting();
    await allAnswered();
    expect(telegram.webhookUrl).toBe("");
    const { state, idle_policy, leases } = await bot();
    expect({ state, idle_policy }).toEqual({ state: "running", idle_policy: "leases_only" });
    expect(leases.map(({ reason }) => reason)).toContain("the bot polls Telegram itself");
    expect(telegram.strangers).toBe(0);
  });

  it("and back to the relay: every message was answered once, in order, and Telegram never saw a conflict", async () => {
    startWriting();
    await switchTo({});
    await answered(ask());
    stopWriting();
    await allAnswered();
    for (const chat of PEOPLE) {
      const expected = asked.filter((one) => one.person === chat).map(({ question }) => question);
      expect(answers(chat)).toEqual(expected);
    }
    expect(telegram.conflicts).toEqual([]);
    expect(telegram.waiting).toBe(0);
    expect(asked.length).toBeGreaterThan(30);
    await asleep();
  });
});
