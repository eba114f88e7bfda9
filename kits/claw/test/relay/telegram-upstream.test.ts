import { afterEach, beforeEach, expect, test } from "vitest";
import { type BotApiDouble, startBotApiDouble } from "../../../../tests/e2e/bot-api-double.ts";
import { textOf } from "./bot-double.ts";
import { hookSecret, realToken, RelayFixture, relayKey } from "./relay-fixture.ts";

let telegram: BotApiDouble;
let fixture: RelayFixture;

beforeEach(async () => {
  telegram = await startBotApiDouble({ token: realToken });
  fixture = await new RelayFixture().prepare();
});

afterEach(async () => {
  await fixture[Symbol.asyncDispose]();
  await telegram.close();
});

const upstream = (allowFrom?: readonly number[]) =>
  ({ kind: "telegram", token: realToken, apiRoot: telegram.url, ...(allowFrom ? { allowFrom } : {}) }) as const;

test("an update reaches the bot's webhook, and Telegram hears of it when it is kept", async () => {
  await fixture.start(upstream());
  const id = telegram.say("hello");
  await fixture.bot.until(() => fixture.bot.accepted.length === 1);
  expect(textOf(fixture.bot.accepted[0] ?? {})).toBe("hello");
  expect(fixture.bot.secretSeen).toBe(hookSecret);
  await telegram.waitUntilConfirmed(id);
  expect(fixture.relay?.chatUrl).toBeNull();
});

test("updates wait while the bot is down, and survive a restart of the relay", async () => {
  await fixture.start(upstream());
  await fixture.bot.stop();
  const last = [telegram.say("one"), telegram.say("two"), telegram.say("three")].at(-1) ?? 0;
  await telegram.waitUntilConfirmed(last);
  await fixture.relay?.close();
  await fixture.start(upstream());
  await fixture.bot.start();
  await fixture.bot.until(() => fixture.bot.accepted.length === 3);
  expect(fixture.bot.accepted.map(textOf)).toEqual(["one", "two", "three"]);
  telegram.say("four");
  await fixture.bot.until(() => fixture.bot.accepted.length === 4);
  expect(fixture.bot.accepted.map(textOf)).toEqual(["one", "two", "three", "four"]);
});

test("faults of Telegram are survived", async () => {
  telegram.failNext("getUpdates", { status: 500 });
  telegram.failNext("getUpdates", "drop");
  await fixture.start(upstream());
  telegram.say("after the storm");
  await fixture.bot.until(() => fixture.bot.accepted.length === 1);
  expect(fixture.lines.join("\n")).toMatch(/polling Telegram failed/);
  expect(fixture.lines.join("\n")).toMatch(/Telegram answers again/);
});

test("waits as long as Telegram asks for", async () => {
  telegram.failNext("getUpdates", { status: 429, description: "Too Many Requests", retryAfterS: 1 });
  await fixture.start(upstream());
  telegram.say("patience");
  await fixture.bot.until(() => fixture.bot.accepted.length === 1);
  expect(fixture.lines.join("\n")).toContain("getUpdates: 429 Too Many Requests");
});

test("a network that is gone for long is told once, and what was written meanwhile arrives in order", async () => {
  await fixture.start({ ...upstream(), retryMs: { first: 10, longest: 50 } });
  await telegram.waitForCall("getUpdates");
  await telegram.offline();
  telegram.say("one");
  await expect.poll(() => fixture.notices).toHaveLength(1);
  telegram.say("two");
  await telegram.online();
  await fixture.bot.until(() => fixture.bot.accepted.length === 2);
  expect(fixture.bot.accepted.map(textOf)).toEqual(["one", "two"]);
  expect(fixture.notices).toEqual([expect.stringContaining("cannot be reached"), "Telegram: all is well again"]);
});

test("updates that are huge, empty or not what they should be hold up none behind them", async () => {
  await fixture.start(upstream());
  const odd = [
    { message: null },
    { message: [] },
    { message: "text" },
    {},
    { message: { chat: { id: "42" }, text: 7 } },
    { some_new_kind: { chat: { id: 42 }, deep: JSON.parse(`${"[".repeat(2000)}${"]".repeat(2000)}`) as unknown } },
    { message: { chat: { id: 42 }, text: "x".repeat(3_000_000) } },
    { message: { chat: { id: 42 }, text: "\ud800 \u0000" } },
  ];
  for (const update of odd) telegram.inject(update);
  const last = telegram.say("after them");
  await fixture.bot.until(() => fixture.bot.accepted.length === odd.length + 1);
  await telegram.waitUntilConfirmed(last);
  expect(fixture.bot.accepted).toContainEqual(expect.objectContaining(odd[6] ?? {}));
  expect(fixture.bot.accepted.map(textOf)).toContain("after them");
});

test("a webhook that somebody else registered is removed", async () => {
  telegram.setForeignWebhook("https://elsewhere.invalid/hook");
  await fixture.start(upstream());
  expect((await telegram.waitForCall("deleteWebhook")).parameters).toEqual({ drop_pending_updates: false });
  telegram.say("hello");
  await fixture.bot.until(() => fixture.bot.accepted.length === 1);
});

test("another poller with the same token is a conflict that passes", async () => {
  telegram.failNext("getUpdates", { status: 409, description: "Conflict: terminated by other getUpdates request" });
  await fixture.start(upstream());
  telegram.say("hello");
  await fixture.bot.until(() => fixture.bot.accepted.length === 1);
  expect(telegram.calls.filter(({ method }) => method === "deleteWebhook")).toHaveLength(1);
  expect(fixture.notices).toEqual([expect.stringContaining("another program polls"), "Telegram: all is well again"]);
});

test("strangers do not wake the bot when an allow list is given", async () => {
  await fixture.start(upstream([42]));
  telegram.say("let me in", 666);
  const id = telegram.say("it is me", 42);
  await fixture.bot.until(() => fixture.bot.accepted.length === 1);
  await telegram.waitUntilConfirmed(id);
  expect(fixture.bot.attempts.map(textOf)).toEqual(["it is me"]);
});

test("calls of the bot go out under the real token: JSON, query, form and multipart", async () => {
  await fixture.start(upstream());
  const sent = await fixture.api("sendMessage", { chat_id: 42, text: "<b>hi</b>", parse_mode: "HTML" });
  expect(sent).toMatchObject({ ok: true, result: { text: "<b>hi</b>" } });
  const form = new FormData();
  form.set("chat_id", "42");
  form.set("caption", "a file");
  form.set("document", new File([Buffer.alloc(300_000, 7)], "big.bin"));
  expect(await fixture.api("sendDocument", form)).toMatchObject({ ok: true });
  const url = `http://127.0.0.1:${fixture.relay?.botApiPort}/bot1:aegis/sendMessage?chat_id=42&text=by%20query`;
  expect((await fetch(url, { headers: { "x-aegis-relay-key": relayKey } })).status).toBe(200);
  expect(telegram.messages.map(({ text }) => text)).toEqual(["<b>hi</b>", "a file", "by query"]);
  expect(telegram.calls.find(({ method }) => method === "sendDocument")?.files.get("big.bin")?.length).toBe(300_000);
  expect(telegram.strangers).toBe(0);
});

test("Telegram's errors reach the bot as they are", async () => {
  await fixture.start(upstream());
  telegram.failNext("sendMessage", { status: 429, description: "Too Many Requests: retry after 3", retryAfterS: 3 });
  const answer = await fixture.api("sendMessage", { chat_id: 42, text: "x" });
  expect(answer).toMatchObject({ status: 429, ok: false, parameters: { retry_after: 3 } });
  telegram.failNext("sendMessage", "drop");
  expect(await fixture.api("sendMessage", { chat_id: 42, text: "x" })).toMatchObject({ status: 502, ok: false });
});

test("how updates travel is not the bot's to change", async () => {
  await fixture.start(upstream());
  const hook = { url: "https://evil.invalid", secret_token: "x", allowed_updates: ["message", "message_reaction"] };
  expect(await fixture.api("setWebhook", hook)).toMatchObject({ ok: true, result: true });
  expect(await fixture.api("getWebhookInfo")).toMatchObject({ result: { url: "https://evil.invalid" } });
  expect(await fixture.api("DELETEwebhook")).toMatchObject({ ok: true });
  expect(await fixture.api("getUpdates", { timeout: 0 })).toMatchObject({ status: 409 });
  expect(await fixture.api("logOut")).toMatchObject({ status: 403 });
  expect(telegram.calls.map(({ method }) => method.toLowerCase())).not.toContain("setwebhook");
  const id = telegram.say("still here");
  await telegram.waitUntilConfirmed(id);
  telegram.say("and here");
  await fixture.bot.until(() => fixture.bot.accepted.length === 2);
  expect(telegram.calls.findLast(({ method }) => method === "getUpdates")?.parameters["allowed_updates"]).toEqual(
    hook.allowed_updates,
  );
});

test("the key is required, and the placeholder token too", async () => {
  await fixture.start(upstream());
  expect(await fixture.api("getMe", {}, {})).toMatchObject({ status: 401, ok: false });
  expect(await fixture.api("getMe", {}, { "x-aegis-relay-key": `${relayKey}x` })).toMatchObject({ status: 401 });
  const root = `http://127.0.0.1:${fixture.relay?.botApiPort}`;
  const headers = { "x-aegis-relay-key": relayKey };
  expect((await fetch(`${root}/bot${realToken}/getMe`, { headers })).status).toBe(401);
  expect((await fetch(`${root}/somewhere`, { headers })).status).toBe(404);
  expect((await fetch(`${root}/bot1:aegis/get%2FMe`, { headers })).status).toBe(404);
  expect((await fetch(`${root}/file/bot1:aegis/..%2f..%2fetc`, { headers })).status).toBe(404);
  expect(telegram.calls.filter(({ method }) => method === "getMe")).toHaveLength(1);
});

test("a bot that is being stopped is brought nothing, and can still say its last words", async () => {
  await fixture.start(upstream());
  await fixture.relay?.stopDelivering();
  await telegram.waitUntilConfirmed(telegram.say("too late for now"));
  expect(await fixture.api("sendMessage", { chat_id: 42, text: "goodbye" })).toMatchObject({ ok: true });
  expect(fixture.bot.attempts).toEqual([]);
  await fixture.relay?.close();
  await fixture.start(upstream());
  await fixture.bot.until(() => fixture.bot.accepted.length === 1);
});

test("a token that Telegram refuses ends the start with a word on what to do, and without the token", async () => {
  const start = fixture.start({ kind: "telegram", token: "9:wrong", apiRoot: telegram.url });
  await expect(start).rejects.toThrow(/does not know this bot token/);
  await expect(start).rejects.not.toThrow(/9:wrong/);
});

test("a start without a network works, and no secret is in the log", async () => {
  const { url } = telegram;
  const port = Number(new URL(url).port);
  await telegram.close();
  await fixture.start({ kind: "telegram", token: realToken, apiRoot: url });
  expect(await fixture.api("sendMessage", { chat_id: 42, text: "x" })).toMatchObject({ status: 502 });
  telegram = await startBotApiDouble({ token: realToken, port });
  telegram.say("back");
  await fixture.bot.until(() => fixture.bot.accepted.length === 1);
  const log = fixture.lines.join("\n");
  expect(log).not.toBe("");
  for (const secret of [realToken, hookSecret, relayKey]) expect(log).not.toContain(secret);
});
