import { stat } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { textOf } from "./bot-double.ts";
import { ChatClient } from "./chat-client.ts";
import { RelayFixture } from "./relay-fixture.ts";

let fixture: RelayFixture;
let page: ChatClient;
const local = { kind: "local", host: "127.0.0.1", port: 0, modelLabel: "offline demo model" } as const;

beforeEach(async () => {
  fixture = await new RelayFixture().prepare();
  page = new ChatClient((await fixture.start(local)).chatUrl);
});

afterEach(() => fixture[Symbol.asyncDispose]());

test("the page comes with all its parts and a strict policy", async () => {
  const shell = await page.send("GET", "");
  expect(shell.status).toBe(200);
  const policy = String(shell.headers["content-security-policy"]);
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("script-src 'self'");
  expect(policy).toContain("frame-ancestors 'none'");
  expect(policy).not.toContain("unsafe");
  expect(shell.headers).toMatchObject({ "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" });
  for (const [, name] of shell.body.matchAll(/(?:src|href)="([^"]+)"/g)) {
    expect({ name, status: (await page.send("GET", String(name))).status }).toEqual({ name, status: 200 });
  }
  expect((await page.send("GET", "tsconfig.json")).status).toBe(404);
  expect((await page.send("GET", "../chat.js")).status).toBe(404);
  expect((await page.send("GET", "/")).status).toBe(404);
});

test("the key buys a cookie that scripts and other sites cannot use, and other ports do not get", async () => {
  expect((await page.send("GET", "api/messages")).status).toBe(401);
  expect((await page.send("POST", "api/session", { body: JSON.stringify({ key: "guess" }) })).status).toBe(401);
  const answer = await page.send("POST", "api/session", { body: JSON.stringify({ key: page.key }) });
  const cookie = String(answer.headers["set-cookie"]);
  expect(cookie).toContain("HttpOnly");
  expect(cookie).toContain("SameSite=Strict");
  expect(cookie).toContain(`Path=${page.base};`);
  expect(cookie).not.toContain(page.key);
  await page.signIn();
  expect((await page.send("GET", "api/messages")).status).toBe(200);
  page.cookie = "aegis_chat=wrong";
  expect((await page.send("GET", "api/events")).status).toBe(401);
});

test("names that only resolve to this machine are refused", async () => {
  await page.signIn();
  for (const host of ["evil.example", `evil.example:${page.port}`, "127.0.0.1", "127.0.0.1:1"]) {
    const { status } = await page.send("GET", "api/messages", { headers: { host } });
    expect({ host, status }).toEqual({ host, status: 403 });
  }
  expect((await page.send("GET", "api/messages", { headers: { host: `localhost:${page.port}` } })).status).toBe(200);
});

test("other origins cannot write", async () => {
  await page.signIn();
  const body = JSON.stringify({ text: "x" });
  for (const origin of ["http://evil.example", "null", `http://localhost:${page.port}`, "http://127.0.0.1:1", ""]) {
    const { status } = await page.send("POST", "api/messages", { body, headers: { origin } });
    expect({ origin, status }).toEqual({ origin, status: 403 });
  }
  expect((await page.snapshot()).messages).toEqual([]);
  const cors = await page.send("GET", "api/messages", { headers: { origin: "http://evil.example" } });
  expect(cors.headers["access-control-allow-origin"]).toBeUndefined();
});

test("what a person writes reaches the bot as an update, and both sides see the answer", async () => {
  await page.signIn();
  const events: { type: string }[] = [];
  const arrived = Promise.withResolvers<void>();
  const stop = await page.follow(events, () => {
    if (events.some(({ type }) => type === "deleted")) arrived.resolve();
  });
  expect((await page.write("  /start now  ")).status).toBe(201);
  await fixture.bot.until(() => fixture.bot.accepted.length === 1);
  expect(fixture.bot.accepted[0]).toMatchObject({
    message: {
      text: "/start now",
      chat: { id: 42, type: "private" },
      from: { id: 42, is_bot: false },
      entities: [{ type: "bot_command", offset: 0, length: 6 }],
    },
  });
  await fixture.api("sendChatAction", { chat_id: 42, action: "typing" });
  const sent = await fixture.api("sendMessage", {
    chat_id: "42",
    text: "<b>hi</b> http://x.example",
    parse_mode: "HTML",
  });
  expect(sent).toMatchObject({ ok: true, result: { text: "hi http://x.example", chat: { id: 42 } } });
  const id = Reflect.get(Object(sent.result), "message_id");
  await fixture.api("editMessageText", { chat_id: 42, message_id: id, text: "bye" });
  await fixture.api("deleteMessage", { chat_id: 42, message_id: id });
  await arrived.promise;
  stop();
  const told = events.map((event) => (event.type === "state" ? `state ${Reflect.get(event, "state")}` : event.type));
  expect(told).toEqual(["snapshot", "message", "state typing", "message", "state ready", "message", "deleted"]);
});

test("the history survives a restart, under the same address", async () => {
  await page.signIn();
  await page.write("remember me");
  await fixture.api("sendMessage", { chat_id: 42, text: "I do" });
  const before = await page.snapshot();
  const url = fixture.relay?.chatUrl;
  await fixture.relay?.close();
  expect((await fixture.start(local)).chatUrl).toBe(url);
  expect((await page.snapshot()).messages).toEqual(before.messages);
  expect(before.messages.map(({ author }) => author)).toEqual(["user", "bot"]);
  expect(before.bot).toEqual({ name: "Claw", label: "offline demo model" });
  for (const name of ["chat-key", "relay.sqlite"]) {
    expect((await stat(join(fixture.stateDir, name))).mode & 0o777).toBe(0o600);
  }
});

test("a message waits for a bot that sleeps, and the page says that it wakes up", async () => {
  await page.signIn();
  await fixture.bot.stop();
  fixture.relay?.setBotPower("asleep");
  expect((await page.snapshot()).state).toBe("asleep");
  await page.write("wake up");
  expect((await page.snapshot()).state).toBe("waking");
  await fixture.bot.start();
  await fixture.api("setWebhook", { url: "https://x.invalid" });
  await fixture.bot.until(() => fixture.bot.accepted.length === 1);
  fixture.relay?.setBotPower("awake");
  expect(fixture.bot.accepted.map(textOf)).toEqual(["wake up"]);
});

test("bad writes are refused with the reason", async () => {
  await page.signIn();
  expect((await page.write("   ")).body).toContain("needs some text");
  expect((await page.write("x".repeat(5000))).status).toBe(413);
  expect((await page.send("POST", "api/messages", { body: "{" })).body).toContain("no JSON object");
  expect((await page.send("POST", "api/messages", { body: "x".repeat(100_000) })).status).toBe(413);
  expect((await page.send("POST", "api/nothing", { body: "{}" })).status).toBe(404);
  expect((await page.send("DELETE", "api/messages")).status).toBe(404);
});
