import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startBotApiBridge } from "../../guest/plugin/bot-api-bridge.ts";

let host: Server;
let bridge: Server;
let hostPort = 0;
let outbox: string;
let warnings: string[];
const sizes: number[] = [];
const calls: { url: string; body: string; name: string | undefined }[] = [];
/** how the host answers, one after the other; the last one goes on */
let answers: RequestListener[] = [];

const ok: RequestListener = (_request, response) => void response.end('{"ok":true,"result":{"message_id":1}}');
const cutOff: RequestListener = (request) => void request.socket.destroy();
const status =
  (code: number, body: object): RequestListener =>
  (_request, response) =>
    void response.writeHead(code).end(JSON.stringify(body));
/** as the binding answers where the relay is not there */
const noRelay = status(502, { error: "could not be reached", code: "unavailable" });

const portOf = (server: Server): number => {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
};

async function openHost(): Promise<void> {
  host = createServer((request, response) => {
    void (async () => {
      const name = request.headers["x-claw-send-id"];
      const bytes = Buffer.concat(await request.toArray());
      const body = bytes.toString();
      sizes.push(bytes.length);
      calls.push({ url: request.url ?? "", body, name: typeof name === "string" ? name : undefined });
      const [next] = answers.length > 1 ? answers.splice(0, 1) : answers;
      next?.(request, response);
    })();
  });
  host.listen(hostPort, "127.0.0.1");
  await once(host, "listening");
  hostPort = portOf(host);
}

async function closeHost(): Promise<void> {
  const closed = once(host, "close");
  host.close();
  host.closeAllConnections();
  await closed;
}

async function openBridge(heldMs = 10_000): Promise<void> {
  bridge = startBotApiBridge({ ...options(), heldMs });
  await once(bridge, "listening");
}

const options = (port = 0) => ({
  port,
  target: `http://127.0.0.1:${hostPort}`,
  outbox,
  warn: (text: string) => void warnings.push(text),
});

/** The process is gone in the middle of it: what it has on disk is all that is left. */
async function killBridge(): Promise<void> {
  const copy = mkdtempSync(join(tmpdir(), "claw-outbox-"));
  for (const name of readdirSync(outbox)) writeFileSync(join(copy, name), readFileSync(join(outbox, name)));
  bridge.closeAllConnections();
  bridge.close();
  folders.push((outbox = copy));
}

const folders: string[] = [];
const kept = () => readdirSync(outbox).length;
const bodies = () => calls.map(({ body }) => body);

beforeEach(async () => {
  calls.length = 0;
  sizes.length = 0;
  warnings = [];
  folders.push((outbox = mkdtempSync(join(tmpdir(), "claw-outbox-"))));
  hostPort = 0;
  answers = [ok];
  await openHost();
});

afterEach(async () => {
  bridge.close();
  bridge.closeAllConnections();
  if (host.listening) await closeHost();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

const call = (method: string, init: RequestInit = {}) =>
  fetch(`http://127.0.0.1:${portOf(bridge)}/bot1:x/${method}`, { method: "POST", ...init });
const json = { headers: { "content-type": "application/json" }, body: '{"chat_id":42,"text":"hi"}' };

test("a message is tried until the Bot API has answered, with the same words each time", async () => {
  await openBridge();
  answers = [cutOff, noRelay, status(502, { ok: false, error_code: 502, description: "Bad Gateway" }), ok];
  const answer = await call("sendMessage", json);
  expect([answer.status, await answer.json()]).toEqual([200, { ok: true, result: { message_id: 1 } }]);
  const [{ name } = {}] = calls;
  expect(name).toMatch(/^[\w-]{36}$/);
  expect(calls).toEqual(Array.from({ length: 4 }, () => ({ url: "/bot1:x/sendMessage", body: json.body, name })));
  expect(kept()).toBe(0);
});

test("it goes on when the host was away", async () => {
  await openBridge();
  await closeHost();
  const sent = call("sendMessage", json);
  await openHost();
  expect((await sent).status).toBe(200);
});

test("a refusal of the Bot API is passed on at once", async () => {
  await openBridge();
  const refusal = { ok: false, error_code: 429, description: "Too Many Requests", parameters: { retry_after: 7 } };
  answers = [status(429, refusal)];
  const answer = await call("sendMessage", json);
  expect([answer.status, await answer.json()]).toEqual([429, refusal]);
  expect(calls).toHaveLength(1);
});

test("before OpenClaw gives up by itself it is asked to try again later", async () => {
  await openBridge(300);
  answers = [noRelay];
  const answer = await call("sendMessage", json);
  expect(answer.status).toBe(429);
  expect(await answer.json()).toMatchObject({ ok: false, parameters: { retry_after: 30 } });
});

test("everything else is passed on once, as it is", async () => {
  await openBridge();
  answers = [noRelay];
  expect((await call("getUpdates", json)).status).toBe(502);
  expect((await call("sendChatAction", json)).status).toBe(502);
  expect(calls).toHaveLength(2);
});

test("a file is tried as long as OpenClaw waits, byte for byte", async () => {
  await openBridge();
  answers = [cutOff, noRelay, ok];
  const form = new FormData();
  const bytes = new Uint8Array(300_000).fill(0xff);
  form.set("document", new File([bytes], "big.bin"));
  const { headers, body } = new Request("http://127.0.0.1", { method: "POST", body: form });
  const sent = Buffer.from(await new Response(body).arrayBuffer());
  expect((await call("sendDocument", { headers, body: sent })).status).toBe(200);
  expect(sizes).toEqual([sent.length, sent.length, sent.length]);
});

test("the menu of commands stays the kit's", async () => {
  await openBridge();
  for (const method of ["setMyCommands", "deleteMyCommands"])
    expect(await (await call(method, json)).json()).toEqual({ ok: true, result: true });
  expect(calls).toEqual([]);
});

test("a port that is taken is left to its owner", async () => {
  await openBridge();
  const port = portOf(bridge);
  const second = startBotApiBridge(options(port));
  await once(second, "error");
  expect((await call("sendMessage", json)).status).toBe(200);
  bridge.close();
  bridge = second;
  await once(second, "listening");
  expect((await call("sendMessage", json)).status).toBe(200);
  expect(warnings).toEqual([]);
});

const text = (words: string, chat = 42) => ({ ...json, body: JSON.stringify({ chat_id: chat, text: words }) });

test("what a kill has cut off is sent by the next process, under the same name and before what comes later", async () => {
  await openBridge();
  answers = [() => undefined];
  void call("sendMessage", text("one")).catch(() => undefined);
  await expect.poll(bodies).toHaveLength(1);
  await killBridge();
  expect(kept()).toBe(1);
  answers = [noRelay, ok];
  await openBridge();
  expect((await call("sendMessage", text("two"))).status).toBe(200);
  expect(bodies().map((body) => (JSON.parse(body) as { text: string }).text)).toEqual(["one", "one", "one", "two"]);
  expect(new Set(calls.slice(0, 3).map(({ name }) => name)).size).toBe(1);
  expect(kept()).toBe(0);
  expect(warnings).toEqual([expect.stringContaining("1 messages were on their way")]);
});

test("the messages of one chat keep their order, and another chat does not wait", async () => {
  await openBridge();
  let release: () => void = () => expect.fail("nobody asked yet");
  answers = [(_request, response) => (release = () => void response.end('{"ok":true}')), ok];
  const one = call("sendMessage", text("one"));
  await expect.poll(bodies).toHaveLength(1);
  const two = call("sendMessage", text("two"));
  expect((await call("sendMessage", text("elsewhere", 43))).status).toBe(200);
  expect(bodies()).toHaveLength(2);
  release();
  expect([(await one).status, (await two).status]).toEqual([200, 200]);
  expect(bodies().at(-1)).toContain("two");
});

test("an outage that is longer than OpenClaw waits: the message goes on, and the same words ask what became of it", async () => {
  await openBridge(300);
  answers = [noRelay];
  expect((await call("sendMessage", json)).status).toBe(429);
  expect(kept()).toBe(1);
  answers = [status(429, { ok: false, error_code: 429, parameters: { retry_after: 0.1 } }), ok];
  await expect.poll(kept).toBe(0);
  const sent = calls.length;
  const again = await call("sendMessage", json);
  expect([again.status, await again.json()]).toEqual([200, { ok: true, result: { message_id: 1 } }]);
  expect(calls).toHaveLength(sent);
  expect((await call("sendMessage", json)).status).toBe(200);
  expect(calls).toHaveLength(sent + 1);
});

test("two messages of the same words at the same time are two", async () => {
  await openBridge();
  const both = await Promise.all([call("sendMessage", json), call("sendMessage", json)]);
  expect(both.map((answer) => answer.status)).toEqual([200, 200]);
  expect(new Set(calls.map(({ name }) => name)).size).toBe(2);
});

test("what is a day old, or cannot be read, is not sent", async () => {
  const old = { id: "a".repeat(36), at: Date.now() - 25 * 3_600_000, url: "/bot1:x/sendMessage", body: json.body };
  writeFileSync(join(outbox, `${old.at}-${old.id}.json`), JSON.stringify(old));
  writeFileSync(join(outbox, "1-b.json"), "{");
  writeFileSync(join(outbox, "2-c.json.next"), JSON.stringify(old));
  await openBridge();
  expect((await call("sendMessage", json)).status).toBe(200);
  expect(calls).toHaveLength(1);
  expect(kept()).toBe(0);
  expect(warnings).toEqual([expect.stringContaining("cannot be read")]);
});

test("where nothing can be written it is sent all the same", async () => {
  await openBridge();
  rmSync(outbox, { recursive: true });
  expect((await call("sendMessage", json)).status).toBe(200);
  expect(warnings).toEqual([expect.stringContaining("cannot be kept")]);
  folders.pop();
});
