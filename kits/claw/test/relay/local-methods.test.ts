import { afterEach, beforeEach, expect, test } from "vitest";
import { ChatClient } from "./chat-client.ts";
import { RelayFixture, relayKey } from "./relay-fixture.ts";

let fixture: RelayFixture;
let page: ChatClient;

beforeEach(async () => {
  fixture = await new RelayFixture().prepare();
  page = new ChatClient((await fixture.start({ kind: "local", host: "127.0.0.1", port: 0 })).chatUrl);
  await page.signIn();
});

afterEach(() => fixture[Symbol.asyncDispose]());

const png = Buffer.from("89504e470d0a1a0a0000000d", "hex");
const idOf = (answer: { result?: unknown }): number => Number(Reflect.get(Object(answer.result), "message_id"));

test("introduces itself and takes the menu calls", async () => {
  expect(await fixture.api("getMe")).toMatchObject({ result: { id: 1, is_bot: true, first_name: "Claw" } });
  expect(await fixture.api("setMyCommands", { commands: [] })).toMatchObject({ result: true });
  expect(await fixture.api("deleteMyCommands")).toMatchObject({ result: true });
  expect(await fixture.api("setGameScore")).toMatchObject({ status: 404, ok: false, description: /^Not Found/ });
  expect(await fixture.api("toString")).toMatchObject({ status: 404 });
});

test("refuses what Telegram refuses, in Telegram's words", async () => {
  const send = (parameters: object) => fixture.api("sendMessage", parameters);
  expect(await send({ chat_id: 7, text: "x" })).toMatchObject({
    status: 400,
    description: "Bad Request: chat not found",
  });
  expect(await send({ chat_id: 42, text: " " })).toMatchObject({ description: "Bad Request: message text is empty" });
  expect(await send({ chat_id: 42, text: "x".repeat(4097) })).toMatchObject({
    description: "Bad Request: message is too long",
  });
  expect(await send({ chat_id: 42, text: "<x>", parse_mode: "HTML" })).toMatchObject({
    status: 400,
    description: /^Bad Request: can't parse entities: Unsupported start tag "x"/,
  });
  const id = idOf(await send({ chat_id: 42, text: "same" }));
  expect(await fixture.api("editMessageText", { chat_id: 42, message_id: id, text: "same" })).toMatchObject({
    description: /^Bad Request: message is not modified/,
  });
  expect(await fixture.api("editMessageText", { chat_id: 42, message_id: 1, text: "x" })).toMatchObject({
    description: "Bad Request: message to edit not found",
  });
  expect(await fixture.api("deleteMessage", { chat_id: 42, message_id: 1 })).toMatchObject({ status: 400 });
  expect((await page.snapshot()).messages).toHaveLength(1);
});

test("a message with a name is said once", async () => {
  const named = { "x-claw-send-id": "6f1c2a4e-aaaa-bbbb-cccc-0123456789ab", "content-type": "application/json" };
  const headers = { ...named, "x-aegis-relay-key": relayKey };
  const first = await fixture.api("sendMessage", { chat_id: 42, text: "same" }, headers);
  expect(await fixture.api("sendMessage", { chat_id: 42, text: "same" }, headers)).toEqual(first);
  expect((await page.snapshot()).messages.map(({ id }) => id)).toEqual([idOf(first)]);
});

test("buttons come back to the bot when they are pressed, and only those that are there", async () => {
  const keyboard = [
    [
      { text: "Yes", callback_data: "y" },
      { text: "Look", url: "https://a.example" },
      { text: "Bad", url: "javascript:x" },
    ],
  ];
  const sent = await fixture.api("sendMessage", {
    chat_id: 42,
    text: "?",
    reply_markup: { inline_keyboard: keyboard },
  });
  const [message] = (await page.snapshot()).messages;
  expect(message?.buttons).toEqual([
    [
      { text: "Yes", data: "y", url: null },
      { text: "Look", data: null, url: "https://a.example/" },
      { text: "Bad", data: null, url: null },
    ],
  ]);
  const press = (data: string) =>
    page.send("POST", `api/messages/${idOf(sent)}/press`, { body: JSON.stringify({ data }) });
  expect((await press("n")).status).toBe(404);
  expect((await press("y")).status).toBe(202);
  await fixture.bot.until(() => fixture.bot.accepted.length === 1);
  expect(fixture.bot.accepted[0]).toMatchObject({ callback_query: { data: "y", message: { message_id: idOf(sent) } } });
  expect(await fixture.api("answerCallbackQuery", { callback_query_id: "1", text: "ok" })).toMatchObject({
    result: true,
  });
});

test("edits, reactions and replies show in the history", async () => {
  const id = idOf(await fixture.api("sendMessage", { chat_id: 42, text: "one" }));
  await fixture.api("editMessageText", { chat_id: 42, message_id: id, text: "two" });
  await fixture.api("setMessageReaction", { chat_id: 42, message_id: id, reaction: [{ type: "emoji", emoji: "👀" }] });
  await fixture.api("sendMessage", { chat_id: 42, text: "re", reply_parameters: { message_id: id } });
  const { messages } = await page.snapshot();
  expect(messages[0]).toMatchObject({ content: ["two"], reaction: "👀", editedAt: expect.any(Number) });
  expect(messages[1]).toMatchObject({ replyTo: id });
});

test("a photo of the bot is drawn, and anything that only claims to be one is a download", async () => {
  for (const [name, bytes] of [
    ["fine.png", png],
    ["evil.png", Buffer.from("<html><script>alert(1)</script>")],
  ] as const) {
    const form = new FormData();
    form.set("chat_id", "42");
    form.set("photo", new File([bytes], name, { type: "image/png" }));
    expect(await fixture.api("sendPhoto", form)).toMatchObject({ ok: true });
  }
  const [fine, evil] = (await page.snapshot()).messages.map(({ file }) => file);
  const drawn = await page.send("GET", `api/files/${fine?.id}`);
  expect(drawn.headers).toMatchObject({ "content-type": "image/png", "content-disposition": "inline" });
  const kept = await page.send("GET", `api/files/${evil?.id}`);
  expect(kept.headers["content-type"]).toBe("application/octet-stream");
  expect(kept.headers["content-disposition"]).toContain("attachment");
  expect(kept.headers["content-security-policy"]).toContain("sandbox");
  expect((await page.send("GET", "api/files/..%2fchat-key")).status).toBe(404);
});

test("a file of the person reaches the bot, which can fetch it", async () => {
  const sent = await page.send("POST", `api/files?name=${encodeURIComponent("../no/tes.txt")}&caption=read%20this`, {
    body: Buffer.from("hello"),
    headers: { "content-type": "text/plain" },
  });
  expect(sent.status).toBe(201);
  await fixture.bot.until(() => fixture.bot.accepted.length === 1);
  const update = fixture.bot.accepted[0];
  expect(update).toMatchObject({
    message: { caption: "read this", document: { file_name: ".._no_tes.txt", mime_type: "text/plain" } },
  });
  const fileId = JSON.parse(sent.body).file.id;
  const found = await fixture.api("getFile", { file_id: fileId });
  const path = Reflect.get(Object(found.result), "file_path");
  const url = `http://127.0.0.1:${fixture.relay?.botApiPort}/file/bot1:aegis/${path}`;
  const response = await fetch(url, { headers: { "x-aegis-relay-key": relayKey } });
  expect(await response.text()).toBe("hello");
  expect((await fetch(url)).status).toBe(401);
  expect(await fixture.api("getFile", { file_id: "../chat-key" })).toMatchObject({ status: 400 });
});
