import { mkdtempSync, rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BotApiDouble, BotMessage } from "../bot-api-double.ts";
import type { KitFixture } from "../kit-fixture.ts";
import { type Orders, PuppetModel } from "../puppet-model.ts";
import { unpackedWithPython, writePythonImage } from "../python-image.ts";
import { telegramKit, type TelegramKit } from "../telegram-kit.ts";

const PYTHON = "python:3.12";

/** From a table of the person's to another and a picture, without anything that is not in Python itself. */
const PLOT = `python3 - <<'END'
import csv, struct, zlib
with open("in/numbers.csv", newline="") as file: numbers = [int(row[0]) for row in list(csv.reader(file))[1:]]
with open("out/table.csv", "w", newline="") as file: csv.writer(file).writerows([["n", "square"], *[[n, n * n] for n in numbers]])
row = b"\\0" + b"\\xff\\x80\\0" * 16
chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
with open("out/plot.png", "wb") as file: file.write(b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(row * 16)) + chunk(b"IEND", b""))
print("the plot is drawn")
END`;

let setup: TelegramKit;
let telegram: BotApiDouble;
let kit: KitFixture;
const layout = mkdtempSync("/tmp/aegis-python-");

const message = (test: (message: BotMessage) => boolean) => telegram.waitForMessage(test, 120_000);
const said = (pattern: RegExp) => message(({ text }) => pattern.test(text));
const order = (orders: Orders) => telegram.say(JSON.stringify(orders));
/** A document of the person's, with orders as its caption. */
function sendFile(name: string, orders: Orders): void {
  const document = { file_id: name, file_unique_id: "d", file_name: name, mime_type: "text/csv" };
  const from = { id: 42, is_bot: false, first_name: "Ada" };
  const chat = { id: 42, type: "private", first_name: "Ada" };
  const date = Math.floor(Date.now() / 1000);
  telegram.inject({ message: { message_id: 7001, from, chat, date, caption: JSON.stringify(orders), document } });
}
const spawn = (parameters: object) => order({ calls: [["work_spawn", parameters]], say: "started" });

interface Button {
  text: string;
  callback_data: string;
}

/** The buttons under a message as it stands now. */
function buttonsOf({ id }: BotMessage): Button[] {
  const ours = telegram.calls.filter(
    ({ method, parameters }) => method === "editMessageText" && Number(parameters["message_id"]) === id,
  );
  const sent = telegram.calls.filter(
    ({ method, parameters }) => method === "sendMessage" && parameters["reply_markup"],
  );
  const { reply_markup } = (ours.at(-1) ?? sent.at(-1))?.parameters ?? {};
  const markup = typeof reply_markup === "string" ? (JSON.parse(reply_markup) as unknown) : reply_markup;
  return (markup as { inline_keyboard?: Button[][] } | undefined)?.inline_keyboard?.flat() ?? [];
}

function press(under: BotMessage, label: RegExp): void {
  const button = buttonsOf(under).find(({ text }) => label.test(text));
  if (button === undefined) throw new Error(`no button ${label}: ${JSON.stringify(buttonsOf(under))}`);
  telegram.inject({
    callback_query: {
      id: String(Date.now()),
      from: { id: 42, is_bot: false, first_name: "Ada" },
      chat_instance: "42",
      message: { message_id: under.id, date: 1, chat: { id: under.chatId, type: "private" }, text: under.text },
      data: button.callback_data,
    },
  });
}

/** Each step goes on from the one before. */
describe("work instances, with the real OpenClaw", { timeout: 180_000 }, () => {
  beforeAll(async () => {
    setup = await telegramKit({ people: [42], model: await PuppetModel.start() });
    ({ telegram, kit } = setup);
    await kit.start("Chat");
    await writePythonImage(layout, await unpackedWithPython(kit.images));
    for await (const step of kit.client.images.pull({ ref: PYTHON, layout })) if ("done" in step) break;
  }, 900_000);

  afterAll(async () => {
    rmSync(layout, { recursive: true, force: true });
    await setup?.end();
  }, 120_000);

  it("answers commands without the model, and the menu has no others", async () => {
    // the model says nothing to what are no orders
    telegram.say("/help");
    await said(/\/preview \[NAME\]/);
    telegram.say("/work");
    await said(/no work instance/);
    const menus = telegram.calls.filter(({ method }) => /MyCommands/.test(method));
    expect(menus.map(({ parameters }) => JSON.stringify(parameters["commands"]))).toEqual([
      expect.stringContaining('"command":"usage"'),
    ]);
  });

  it("an image with Python and without Node does a data task on a file of the chat; table and picture reach it", async () => {
    telegram.files.set("numbers.csv", Buffer.from("n\n0\n1\n2\n3\n4\n"));
    const parameters = { command: PLOT, image: PYTHON, memory_mb: 256, network: "none", files: ["numbers.csv"] };
    sendFile("numbers.csv", { calls: [["work_spawn", parameters]], say: "started" });
    const { text } = await said(/✅ work-1 is done/);
    expect(text).toContain("the plot is drawn");
    const photo = await telegram.waitForCall("sendPhoto", 60_000);
    expect(photo.files.get("plot.png")?.subarray(1, 4).toString()).toBe("PNG");
    const table = await telegram.waitForCall("sendDocument", 60_000);
    expect(table.files.get("table.csv")?.toString()).toBe("n,square\r\n0,0\r\n1,1\r\n2,4\r\n3,9\r\n4,16\r\n");
  });

  it("want of memory is told in plain words", async () => {
    spawn({ command: "python3 -c 'x = bytearray(400 << 20)'", image: PYTHON, memory_mb: 64 });
    const { text } = await said(/❌ work-2 failed/);
    expect(text).toContain("it ran out of memory (it had 64 MB)");
  });

  it("a server in it is told when it listens; /preview follows the public address", async () => {
    spawn({
      command: "exec python3 -m http.server 3000",
      image: PYTHON,
      memory_mb: 128,
      ports: [3000, 3001],
      name: "web",
    });
    const { text } = await said(/✅ work-web is running/);
    const link = /http:\/\/127\.0\.0\.1:\d+/.exec(text)?.[0] ?? "";
    expect(await (await fetch(link)).text()).toContain("Directory listing");
    await kit.aegis("preview", "public-url", "https://one.example.org");
    telegram.say("/preview web");
    const one = await said(/port 3000: https:\/\/one\.example\.org\/p\//);
    expect(one.text).toMatch(/port 3001: https:/);
    await kit.aegis("preview", "public-url", "https://two.example.org");
    telegram.say("/preview web");
    const two = await said(/https:\/\/two\.example\.org\/p\//);
    expect(two.text).toBe(one.text.replaceAll("one.", "two."));
    await kit.aegis("preview", "public-url", "none");
  });

  it("buttons stop, resume and delete", async () => {
    telegram.say("/work");
    const list = await said(/^work-web: running, serving/);
    press(list, /Stop/);
    await message(({ id, text }) => id === list.id && text.startsWith("work-web: stopped"));
    press(list, /Resume/);
    await message(({ id, text }) => id === list.id && text.startsWith("work-web: running"));
    press(list, /Delete/);
    await message(({ id, text }) => id === list.id && text.startsWith("Delete work-"));
    press(list, /Yes/);
    await message(({ id, text }) => id === list.id && !text.includes("work-web") && text.includes("work-1"));
    expect((await kit.client.instances.list()).map(({ handle }) => handle)).not.toContain("work-web");
  });

  it("/stop ends an agent in the middle of its task; /usage knows its tokens", async () => {
    const task = JSON.stringify({ calls: [["exec", { command: "echo half > half.txt; sleep 1000" }]] });
    spawn({ task, name: "long" });
    await said(/work-long: [\s\S]*⏳ (ran echo|wrote half)/);
    telegram.say("/stop");
    await said(/⏹ work-long was stopped after/);
    await kit.reaches("work-long", "stopped");
    telegram.say("/usage");
    const { text } = await said(/^bot: \d+ MB of \d+ MB in memory/);
    expect(text).toMatch(/work-long: .*(tokens|model call), stopped, no memory/);
  });
});
