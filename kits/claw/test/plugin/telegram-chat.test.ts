import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { ChatBusy } from "../../guest/plugin/chat.ts";
import { TelegramChat } from "../../guest/plugin/telegram-chat.ts";

const ok = { ok: true, result: { message_id: 7 } };
const ann = { channel: "telegram", to: "telegram:42" };

/** A Bot API that gives these answers, one after the other. */
async function botApi(...answers: [status: number, body: object][]) {
  const seen: { method: string; body: string; name: unknown }[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const body = Buffer.concat(await request.toArray()).toString();
      seen.push({ method: request.url?.split("/").at(-1) ?? "", body, name: request.headers["x-claw-send-id"] });
      const [status, answer] = answers.shift() ?? [200, ok];
      response.writeHead(status).end(JSON.stringify(answer));
    })();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { seen, chat: new TelegramChat(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, "1:x") };
}

test("a message with a name says it to the relay", async () => {
  const { chat, seen } = await botApi([200, ok]);
  await chat.send(ann, "done", [], "inst-1-1790000000000-end");
  expect(seen).toMatchObject([{ name: "inst-1-1790000000000-end" }]);
});

test("chats, topics, buttons, and an edit that changes nothing", async () => {
  const unchanged = { ok: false, description: "Bad Request: message is not modified" };
  const { chat, seen } = await botApi([200, ok], [400, unchanged]);
  expect(await chat.send({ channel: "telegram", to: "telegram:group:-100", threadId: "5" }, "hi")).toBe(7);
  await chat.edit(ann, 7, "hi", [[{ text: "Stop", data: "x:stop:1" }]]);
  expect(seen.map(({ method, body }) => [method, JSON.parse(body)])).toEqual([
    ["sendMessage", { chat_id: -100, message_thread_id: 5, text: "hi" }],
    [
      "editMessageText",
      {
        chat_id: 42,
        message_id: 7,
        text: "hi",
        reply_markup: { inline_keyboard: [[{ text: "Stop", callback_data: "x:stop:1" }]] },
      },
    ],
  ]);
  expect(chat.reaches({ channel: "webchat", to: "1" })).toBe(false);
  expect(chat.reaches({ channel: "telegram", to: "telegram:@name" })).toBe(false);
});

test("a chat that takes nothing says for how long", async () => {
  const { chat } = await botApi([429, { ok: false, description: "Too Many Requests", parameters: { retry_after: 9 } }]);
  const refused = chat.send(ann, "hi");
  await expect(refused).rejects.toThrow(ChatBusy);
  await expect(refused).rejects.toMatchObject({ retryAfterMs: 9000 });
});

test("a picture that is refused as one is sent as a file", async () => {
  const odd = { ok: false, description: "Bad Request: PHOTO_INVALID_DIMENSIONS" };
  const { chat, seen } = await botApi([400, odd]);
  await chat.sendFile(ann, { name: "plot.png", content: new Blob(["PNG"]), picture: true }, "work-1");
  expect(seen.map(({ method }) => method)).toEqual(["sendPhoto", "sendDocument"]);
  for (const part of ['name="document"; filename="plot.png"', "PNG", 'name="chat_id"', "work-1"])
    expect(seen[1]?.body).toContain(part);
});

test("a file that the Bot API could not take is no success", async () => {
  const { chat } = await botApi([502, { ok: false, description: "Bad Gateway" }]);
  const file = { name: "a.txt", content: new Blob(["x"]), picture: false };
  await expect(chat.sendFile(ann, file, "")).rejects.toThrow("sendDocument: Bad Gateway");
});
