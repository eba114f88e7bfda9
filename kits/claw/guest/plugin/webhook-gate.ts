import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type Server,
  type ServerResponse,
} from "node:http";
import { setTimeout as delay } from "node:timers/promises";

const LOOK_MS = 20;
/** A gateway that is not ready for longer has another reason than a pause that is just over. */
const HELD_MS = 10_000;
/** as long as a gateway takes to boot on a busy machine */
const BOOT_MS = 60_000;

interface GateOptions {
  /** where the host posts to; on loopback, as all of them */
  port: number;
  /** OpenClaw's own webhook */
  webhookPort: number;
  gatewayPort: number;
  warn: (text: string) => void;
  heldMs?: number;
  bootMs?: number;
}

/**
 * Stands before OpenClaw's webhook and holds back a message that has woken the bot until OpenClaw goes on. It would take it
 * before, but then handle it on behalf of whoever tells it to go on, who may not deliver to Telegram; the next try is 1.7 s
 * later.
 *
 * It does not keep the process alive, and a port that is taken is somebody else's gate to the same place.
 */
export function startWebhookGate(options: GateOptions): Server {
  const server = createServer((request, response) => {
    pass(request, response, options).catch((error: unknown) => {
      if (request.method === "POST") options.warn(`a message could not be taken: ${String(error)}`);
      if (response.headersSent) response.destroy();
      else response.writeHead(503, { "content-length": 0 }).end();
    });
  });
  server.on("error", (error) => {
    if (!("code" in error && error.code === "EADDRINUSE")) options.warn(`the webhook's gate: ${error.message}`);
  });
  server.listen(options.port, "127.0.0.1");
  server.unref();
  return server;
}

async function pass(request: IncomingMessage, response: ServerResponse, options: GateOptions): Promise<void> {
  const { webhookPort, gatewayPort, heldMs = HELD_MS, bootMs = BOOT_MS } = options;
  if (request.method === "POST") {
    await until(() => statusOf(webhookPort, "/healthz").then((status) => status !== null), bootMs, response);
    await until(() => statusOf(gatewayPort, "/readyz").then((status) => status === 200), heldMs, response);
  }
  if (response.destroyed) return;
  const incoming = await forward(request, response, webhookPort);
  response.writeHead(incoming.statusCode ?? 502, incoming.headers);
  incoming.on("error", () => response.destroy());
  incoming.pipe(response);
}

/** Or until the time is over, or nobody waits for it any more. */
async function until(holds: () => Promise<boolean>, ms: number, response: ServerResponse): Promise<void> {
  const end = performance.now() + ms;
  while (!response.destroyed && !(await holds()) && performance.now() < end) await delay(LOOK_MS);
}

/** @returns null when nobody answers */
async function statusOf(port: number, path: string): Promise<number | null> {
  try {
    const { status, body } = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(1000) });
    await body?.cancel();
    return status;
  } catch {
    return null;
  }
}

function forward(request: IncomingMessage, response: ServerResponse, port: number): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { method, headers, url: path } = request;
    const outgoing = httpRequest({ host: "127.0.0.1", port, path, method, headers });
    response.once("close", () => outgoing.destroy());
    outgoing.on("response", resolve);
    outgoing.on("error", reject);
    request.pipe(outgoing);
  });
}
