import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startWebhookGate } from "../../guest/plugin/webhook-gate.ts";

/** what happens, in order */
const seen: string[] = [];
const servers: Server[] = [];
/** how often the gateway says that it is suspended before it goes on */
let suspended = 0;
let webhookPort = 0;
let gatewayPort = 0;
let gate = "";

async function opened(server: Server): Promise<number> {
  servers.push(server);
  if (!server.listening) await once(server, "listening");
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

const webhook = (port: number) =>
  createServer((request, response) => {
    void (async () => {
      const body = Buffer.concat(await request.toArray()).toString();
      if (request.url === "/telegram-webhook") seen.push(`took ${body} for ${String(request.headers["x-secret"])}`);
      response.writeHead(200, { "x-openclaw-delivery-accepted": "durable" }).end("ok");
    })();
  }).listen(port, "127.0.0.1");

async function openGate(limits: { heldMs?: number; bootMs?: number } = {}): Promise<void> {
  const warn = (text: string) => void seen.push(text);
  const port = await opened(startWebhookGate({ port: 0, webhookPort, gatewayPort, warn, ...limits }));
  gate = `http://127.0.0.1:${port}`;
}

beforeEach(async () => {
  seen.length = 0;
  suspended = 0;
  const gateway = createServer((_request, response) => {
    seen.push(suspended > 0 ? "suspended" : "ready");
    response.writeHead(suspended-- > 0 ? 503 : 200).end();
  }).listen(0, "127.0.0.1");
  gatewayPort = await opened(gateway);
  webhookPort = await opened(webhook(0));
});

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

const post = () =>
  fetch(`${gate}/telegram-webhook`, { method: "POST", headers: { "x-secret": "s" }, body: "an update" });

test("a message is taken once the gateway goes on, with everything that came with it", async () => {
  suspended = 3;
  await openGate();
  const answer = await post();
  expect([answer.status, answer.headers.get("x-openclaw-delivery-accepted")]).toEqual([200, "durable"]);
  expect(seen).toEqual(["suspended", "suspended", "suspended", "ready", "took an update for s"]);
});

test("a gateway that does not go on holds up nothing for good", async () => {
  suspended = Infinity;
  await openGate({ heldMs: 1 });
  expect((await post()).status).toBe(200);
  expect(seen.at(-1)).toBe("took an update for s");
});

test("a webhook that is not up yet is waited for", async () => {
  const [first] = servers.splice(1, 1);
  first?.close();
  await openGate();
  const answer = post();
  servers.push(webhook(webhookPort));
  expect((await answer).status).toBe(200);
});

test("one that never comes up is told to whoever asks", async () => {
  const [first] = servers.splice(1, 1);
  first?.close();
  await openGate({ bootMs: 1, heldMs: 1 });
  expect((await post()).status).toBe(503);
  expect((await fetch(`${gate}/healthz`)).status).toBe(503);
  expect(seen.filter((line) => line.includes("could not be taken"))).toHaveLength(1);
});
