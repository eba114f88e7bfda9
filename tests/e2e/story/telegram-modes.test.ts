import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BotApiDouble } from "../bot-api-double.ts";
import { Conversation } from "../conversation.ts";
import { startEchoModel } from "../echo-model.ts";
import type { KitFixture } from "../kit-fixture.ts";
import { telegramKit, type TelegramKit } from "../telegram-kit.ts";

const PEOPLE = [42, 43] as const;
const GROUP = -100_777;
const TUNNEL = `node -e "console.log('| http://127.0.0.1:{port}/t' + process.pid + ' |'); setTimeout(() => {}, 1e9)"`;
/** a person writes this often, whatever the kit is doing */
const EVERY_MS = 2500;

let setup: TelegramKit;
let telegram: BotApiDouble;
let kit: KitFixture;
let chat: Conversation;
let writing: NodeJS.Timeout | undefined;

const ask = (person?: number) => chat.ask(person);
const answered = (question: number) => chat.answered(question);
const bot = () => kit.client.instances.get("claw-bot");
const asleep = () => kit.reaches("claw-bot", "paused");

/** The kit as it is started with other settings; people go on writing meanwhile. */
async function switchTo(settings: Record<string, string>): Promise<void> {
  const asked = chat.length;
  await kit.interrupt();
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
  mkdirSync(join(kit.home, "claw"), { recursive: true, mode: 0o700 });
  writeFileSync(join(kit.home, "claw/settings.env"), lines.join(""), { mode: 0o600 });
  await kit.start("Chat", "--idle", "4");
  if (writing !== undefined) expect(chat.length).toBeGreaterThan(asked);
}

function startWriting(): void {
  writing = setInterval(() => ask(), EVERY_MS);
}

function stopWriting(): void {
  clearInterval(writing);
  writing = undefined;
}

/** Each step goes on from the one before. */
describe("the ways of updates, with the real OpenClaw", { timeout: 300_000 }, () => {
  beforeAll(async () => {
    setup = await telegramKit({
      people: PEOPLE,
      model: await startEchoModel(),
      env: { TELEGRAM_GROUPS: String(GROUP) },
    });
    ({ telegram, kit } = setup);
    chat = new Conversation(telegram, PEOPLE);
    ask();
    await switchTo({});
  }, 900_000);

  afterAll(async () => {
    stopWriting();
    await setup?.end();
  }, 120_000);

  it("relay: the bot sleeps, and a message wakes it", async () => {
    await answered(0);
    await asleep();
    await answered(ask());
    expect(telegram.webhookUrl).toBe("");
  });

  it("relay: pictures, voice and documents go both ways", async () => {
    const from = { id: 42, is_bot: false, first_name: "Ada" };
    const room = { id: 42, type: "private", first_name: "Ada" };
    const files: Record<string, object> = {
      "photo.jpg": { photo: [{ file_id: "photo.jpg", file_unique_id: "p", width: 2, height: 2, file_size: 5000 }] },
      "voice.ogg": { voice: { file_id: "voice.ogg", file_unique_id: "v", duration: 1, mime_type: "audio/ogg" } },
      "notes.txt": {
        document: { file_id: "notes.txt", file_unique_id: "d", file_name: "notes.txt", mime_type: "text/plain" },
      },
    };
    for (const [name, media] of Object.entries(files)) {
      telegram.files.set(name, Buffer.alloc(5000, name));
      const question = chat.note(42);
      const date = Math.floor(Date.now() / 1000);
      telegram.inject({
        message: { message_id: 5000 + question, from, chat: room, date, caption: `q${question}`, ...media },
      });
      await answered(question);
    }
    expect(telegram.downloads.toSorted()).toEqual(Object.keys(files).toSorted());

    // with its tools elsewhere, OpenClaw sends from its own disk only what it knows the kind of
    const file = "/workspace/agent/out.txt";
    const script = `yes lobster | head -c 300000 > ${file}; openclaw message send --channel telegram --target 42 --message sent --media ${file}`;
    const env = { OPENCLAW_STATE_DIR: "/workspace/state", OPENCLAW_CONFIG_PATH: "/workspace/state/openclaw.json" };
    const output = await kit.printed("claw-bot", ["sh", "-c", script], env);
    const sent = telegram.calls.find((call) => call.files.size > 0);
    expect(sent?.method, output).toBe("sendDocument");
    expect([...(sent?.files.values() ?? [])].map(({ length }) => length)).toEqual([300_000]);
  });

  it("relay: in a group it answers whom it may, when it is mentioned", async () => {
    const room = { id: GROUP, type: "supergroup", title: "Lobsters" };
    let message_id = 9000;
    const say = (id: number, text: string, mention: boolean) => {
      const message = { message_id: message_id++, chat: room, text, date: 1_790_000_000 };
      const entities = mention ? [{ type: "mention", offset: 0, length: "@claw_double_bot".length }] : [];
      telegram.inject({ message: { ...message, from: { id, is_bot: false, first_name: "G" }, entities } });
    };
    say(42, "q900001", false);
    say(666, "@claw_double_bot q900002", true);
    say(42, "@claw_double_bot q900003", true);
    await telegram.waitForMessage(({ chatId, text }) => chatId === GROUP && text.includes("a900003"), 120_000);
    expect(chat.answersTo(GROUP)).not.toContain(900_002);
    expect(telegram.messages.filter(({ chatId }) => chatId === GROUP)).toHaveLength(1);
  });

  it("relay: an edited message is no new question", async () => {
    const message_id = 7000;
    const from = { id: 42, is_bot: false, first_name: "Ada" };
    const room = { id: 42, type: "private", first_name: "Ada" };
    const date = Math.floor(Date.now() / 1000);
    const question = chat.note(42);
    const text = `q${question}`;
    telegram.inject({ message: { message_id, from, chat: room, date, text } });
    await answered(question);
    telegram.inject({
      edited_message: { message_id, from, chat: room, date, edit_date: date + 1, text: `${text} (edited)` },
    });
    await answered(ask(42));
    expect(chat.answersTo(42).filter((answer) => answer === question)).toHaveLength(1);
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
    await chat.allAnswered();
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
    await chat.allAnswered();
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
    await chat.allAnswered();
    for (const person of PEOPLE) expect(chat.answersTo(person)).toEqual(chat.questionsOf(person));
    expect(telegram.conflicts).toEqual([]);
    expect(telegram.waiting).toBe(0);
    await asleep();
  });
});
