import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type Server,
  type ServerResponse,
} from "node:http";
import { setTimeout as delay } from "node:timers/promises";

/** Texts are smaller; what is larger carries a file and is passed on as it comes. */
const LARGEST_BODY = 256 * 1024;
/** OpenClaw gives a call up after 60 s, and then nobody knows what became of it. */
const HELD_MS = 45_000;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 3000;

interface BridgeOptions {
  /** on loopback */
  port: number;
  /** the Bot API as the binding shows it, e.g. `http://127.0.0.1:8081` */
  target: string;
  warn: (text: string) => void;
  /** how long a message is tried */
  heldMs?: number;
}

interface Answer {
  status: number;
  body: Buffer;
}

/**
 * Stands between OpenClaw and the Bot API. OpenClaw tries a message again only when it is sure that it was not sent, and
 * otherwise lets the answer go. Here a call that makes a message is tried until there is an answer: the host's relay knows
 * what it has sent already, so trying again is safe where OpenClaw cannot know it. What the host restarts, nobody notices.
 *
 * It does not keep the process alive, and a port that is taken is somebody else's bridge to the same place.
 */
export function startBotApiBridge({ port, target, warn, heldMs = HELD_MS }: BridgeOptions): Server {
  const server = createServer((request, response) => {
    bridge(request, response, target, heldMs).catch((error: unknown) => {
      warn(`Bot API call failed: ${error instanceof Error ? error.message : String(error)}`);
      if (response.headersSent) response.destroy();
      else answer(response, 502, { ok: false, error_code: 502, description: "Bad Gateway" });
    });
  });
  server.on("error", (error) => {
    if (!("code" in error && error.code === "EADDRINUSE")) warn(`the Bot API bridge: ${error.message}`);
  });
  server.listen(port, "127.0.0.1");
  server.unref();
  return server;
}

async function bridge(
  request: IncomingMessage,
  response: ServerResponse,
  target: string,
  heldMs: number,
): Promise<void> {
  // the menu is the kit's: OpenClaw's has forty commands, and not all of these
  if (/\/(set|delete)MyCommands(\?|$)/i.test(request.url ?? "")) {
    request.resume();
    return answer(response, 200, { ok: true, result: true });
  }
  const size = Number(request.headers["content-length"] ?? Number.NaN);
  const json = request.headers["content-type"]?.startsWith("application/json") === true;
  if (json && size <= LARGEST_BODY && makesMessage(request.url ?? ""))
    return persist(request, response, target, heldMs);
  const incoming = await send(request, target, (outgoing) => request.pipe(outgoing), response);
  response.writeHead(incoming.statusCode ?? 502, incoming.headers);
  incoming.on("error", () => response.destroy());
  incoming.pipe(response);
}

const makesMessage = (url: string): boolean =>
  /\/(send(?!ChatAction)\w*|copyMessage|forwardMessage|editMessage\w+)(\?|$)/i.test(url);

/** Tries until the Bot API has said something, OpenClaw has gone, or it would soon give up by itself. */
async function persist(
  request: IncomingMessage,
  response: ServerResponse,
  target: string,
  heldMs: number,
): Promise<void> {
  const body = Buffer.concat(await request.toArray());
  const until = Date.now() + heldMs;
  for (let pause = FIRST_PAUSE_MS; !response.destroyed; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    const found = await attempt(request, body, target, until - Date.now());
    if (found !== null) {
      response.writeHead(found.status, { "content-type": "application/json", "content-length": found.body.length });
      return void response.end(found.body);
    }
    if (Date.now() + pause > until) return answer(response, 429, tryAgain);
    await delay(pause);
  }
}

/** The one refusal after which OpenClaw tries again. */
const tryAgain = {
  ok: false,
  error_code: 429,
  description: "Too Many Requests: the host cannot be reached; retry after 30",
  parameters: { retry_after: 30 },
};

/** @returns null when it is worth another try: cut off, or not answered by the Bot API itself, or broken on its side */
async function attempt(request: IncomingMessage, body: Buffer, target: string, ms: number): Promise<Answer | null> {
  try {
    const signal = AbortSignal.timeout(Math.max(ms, 1));
    const incoming = await send(request, target, (outgoing) => outgoing.end(body), signal);
    const found = Buffer.concat(await incoming.toArray());
    const status = incoming.statusCode ?? 502;
    return status < 500 && isBotApi(found) ? { status, body: found } : null;
  } catch {
    return null;
  }
}

function isBotApi(body: Buffer): boolean {
  try {
    return "ok" in (JSON.parse(body.toString()) as object);
  } catch {
    return false;
  }
}

function send(
  request: IncomingMessage,
  target: string,
  write: (outgoing: ReturnType<typeof httpRequest>) => void,
  end: AbortSignal | ServerResponse,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { host: _host, connection: _connection, ...headers } = request.headers;
    const signal = end instanceof AbortSignal ? { signal: end } : {};
    const outgoing = httpRequest(`${target}${request.url ?? "/"}`, { method: request.method, headers, ...signal });
    if (!(end instanceof AbortSignal)) end.once("close", () => outgoing.destroy());
    outgoing.on("response", resolve);
    outgoing.on("error", reject);
    write(outgoing);
  });
}

function answer(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
  response.end(text);
}
