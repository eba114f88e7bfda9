import { once } from "node:events";
import { request } from "node:http";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type BotApiDouble, startBotApiDouble } from "../../../../tests/e2e/bot-api-double.ts";
import { realToken, RelayFixture, relayKey } from "./relay-fixture.ts";

let telegram: BotApiDouble;
let fixture: RelayFixture;

beforeEach(async () => {
  telegram = await startBotApiDouble({ token: realToken });
  fixture = await new RelayFixture().prepare();
  await start();
});

afterEach(async () => {
  await fixture[Symbol.asyncDispose]();
  await telegram.close();
});

const start = () => fixture.start({ kind: "telegram", token: realToken, apiRoot: telegram.url });
const texts = () => telegram.messages.map(({ text }) => text);
const hello = { chat_id: 42, text: "hello" };

function open(headers: Record<string, string | number>, method = "sendMessage") {
  const port = fixture.relay?.botApiPort;
  return request({
    host: "127.0.0.1",
    port,
    path: `/bot1:aegis/${method}`,
    method: "POST",
    headers: { "x-aegis-relay-key": relayKey, ...headers },
  });
}

/** The bot is cut off as soon as Telegram has the message. */
async function sendCutOff(): Promise<void> {
  const sent = open({ "content-type": "application/json" });
  const gone = new Promise((resolve) => sent.on("error", resolve).on("close", resolve));
  sent.setHeader("content-length", JSON.stringify(hello).length);
  sent.end(JSON.stringify(hello));
  await telegram.until(() => telegram.messages.length === 1);
  sent.destroy();
  await gone;
}

test("a message whose answer the bot has missed is not sent again, and the bot learns its id", async () => {
  await sendCutOff();
  const again = await fixture.api("sendMessage", hello);
  expect(again).toMatchObject({ ok: true, result: { message_id: telegram.messages[0]?.id, text: "hello" } });
  expect(texts()).toEqual(["hello"]);
  expect(fixture.lines.join()).toContain("not sent again");
});

test("also when the relay was started anew in between", async () => {
  await sendCutOff();
  await telegram.until(() => texts().length === 1);
  await expect.poll(async () => (await fixture.api("getMe")).ok).toBe(true);
  await fixture.relay?.close();
  await start();
  expect(await fixture.api("sendMessage", hello)).toMatchObject({ result: { message_id: telegram.messages[0]?.id } });
  expect(texts()).toEqual(["hello"]);
});

test("what is said twice on purpose is sent twice", async () => {
  await fixture.api("sendMessage", hello);
  await fixture.api("sendMessage", hello);
  await Promise.all([fixture.api("sendMessage", hello), fixture.api("sendMessage", hello)]);
  expect(texts()).toEqual(Array.from({ length: 4 }, () => "hello"));
});

const named = { "x-aegis-relay-key": relayKey, "x-claw-send-id": "6f1c2a4e-aaaa-bbbb-cccc-0123456789ab" };

test("a call with a name is done once, heard or not, and after a restart of the relay too", async () => {
  const headers = { ...named, "content-type": "application/json" };
  const both = await Promise.all([
    fixture.api("sendMessage", hello, headers),
    fixture.api("sendMessage", hello, headers),
  ]);
  await fixture.relay?.close();
  await start();
  for (const answer of [...both, await fixture.api("sendMessage", hello, headers)])
    expect(answer).toMatchObject({ ok: true, result: { message_id: telegram.messages[0]?.id } });
  expect(texts()).toEqual(["hello"]);
  const other = { ...headers, "x-claw-send-id": "6f1c2a4e-aaaa-bbbb-cccc-0123456789ac" };
  await fixture.api("sendMessage", hello, other);
  expect(texts()).toEqual(["hello", "hello"]);
});

test("a name that is none changes nothing", async () => {
  const headers = { ...named, "content-type": "application/json", "x-claw-send-id": "x" };
  await fixture.api("sendMessage", hello, headers);
  await fixture.api("sendMessage", hello, headers);
  expect(texts()).toEqual(["hello", "hello"]);
});

test("a client that ends its connection after each answer is not taken for one that was cut off", async () => {
  const headers = { "x-aegis-relay-key": relayKey, "content-type": "application/json", connection: "close" };
  await fixture.api("sendMessage", hello, headers);
  await fixture.api("sendMessage", hello, headers);
  expect(texts()).toEqual(["hello", "hello"]);
});

test("a refusal of Telegram is not remembered", async () => {
  telegram.failNext("sendMessage", { status: 429, description: "Too Many Requests", retryAfterS: 1 });
  expect(await fixture.api("sendMessage", hello)).toMatchObject({ status: 429, parameters: { retry_after: 1 } });
  expect(await fixture.api("sendMessage", hello)).toMatchObject({ status: 200 });
  expect(texts()).toEqual(["hello"]);
});

test("where Telegram's own answer is lost the bot hears of it, and sending again is its decision", async () => {
  telegram.failNext("sendMessage", "lose-answer");
  expect(await fixture.api("sendMessage", hello)).toMatchObject({ status: 502 });
  expect(await fixture.api("sendMessage", hello)).toMatchObject({ status: 200 });
  expect(texts()).toEqual(["hello", "hello"]);
});

test.each([
  ["announced", { "content-length": 101 * 1024 * 1024 }],
  ["not announced", {}],
])("a file that is too large, %s, is refused while it comes", async (_how, headers) => {
  const sent = open({ "content-type": "multipart/form-data; boundary=x", ...headers }, "sendDocument");
  const broken = once(sent, "error").then(() => 413);
  const answered = once(sent, "response").then(([answer]: { statusCode: number }[]) => answer?.statusCode);
  const chunk = Buffer.alloc(1024 * 1024);
  const write = (left: number): void => {
    if (left > 0 && !sent.destroyed) sent.write(chunk, () => write(left - 1));
  };
  write(101);
  expect(await Promise.race([broken, answered])).toBe(413);
  sent.destroy();
  expect(telegram.messages).toEqual([]);
});
