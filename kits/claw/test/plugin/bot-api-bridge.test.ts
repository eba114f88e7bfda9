import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startBotApiBridge } from "../../guest/plugin/bot-api-bridge.ts";

let host: Server;
let bridge: Server;
let hostPort = 0;
const calls: { url: string; body: string }[] = [];
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
      calls.push({ url: request.url ?? "", body: Buffer.concat(await request.toArray()).toString() });
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
  bridge = startBotApiBridge({ port: 0, target: `http://127.0.0.1:${hostPort}`, warn: () => undefined, heldMs });
  await once(bridge, "listening");
}

beforeEach(async () => {
  calls.length = 0;
  hostPort = 0;
  answers = [ok];
  await openHost();
});

afterEach(async () => {
  bridge.close();
  bridge.closeAllConnections();
  if (host.listening) await closeHost();
});

const call = (method: string, init: RequestInit = {}) =>
  fetch(`http://127.0.0.1:${portOf(bridge)}/bot1:x/${method}`, { method: "POST", ...init });
const json = { headers: { "content-type": "application/json" }, body: '{"chat_id":42,"text":"hi"}' };

test("a message is tried until the Bot API has answered, with the same words each time", async () => {
  await openBridge();
  answers = [cutOff, noRelay, status(502, { ok: false, error_code: 502, description: "Bad Gateway" }), ok];
  const answer = await call("sendMessage", json);
  expect([answer.status, await answer.json()]).toEqual([200, { ok: true, result: { message_id: 1 } }]);
  expect(calls).toEqual(Array.from({ length: 4 }, () => ({ url: "/bot1:x/sendMessage", body: json.body })));
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
  const form = new FormData();
  form.set("document", new File(["x".repeat(300_000)], "big.txt"));
  expect((await call("sendDocument", { body: form })).status).toBe(502);
  expect(calls).toHaveLength(3);
  expect(calls[2]?.body).toContain("x".repeat(300_000));
});

test("the menu of commands stays the kit's", async () => {
  await openBridge();
  for (const method of ["setMyCommands", "deleteMyCommands"])
    expect(await (await call(method, json)).json()).toEqual({ ok: true, result: true });
  expect(calls).toEqual([]);
});

test("a port that is taken is left to its owner", async () => {
  await openBridge();
  const second = startBotApiBridge({ port: portOf(bridge), target: "http://127.0.0.1:1", warn: () => expect.fail() });
  await once(second, "error");
  expect((await call("sendMessage", json)).status).toBe(200);
});
