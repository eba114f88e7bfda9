import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { type Answer, attempt, type CallHead, passOn } from "./bot-api-call.ts";
import { Outbox } from "./outbox.ts";
import { OutgoingMessages } from "./outgoing-messages.ts";

/** Texts are smaller; what is larger carries a file and is passed on as it comes. */
const LARGEST_BODY = 256 * 1024;
/** of what the Bot API allows in one call */
const LARGEST_FILES = 50 * 1024 * 1024;
/** OpenClaw itself waits for 60 s */
const TRIED_MS = 45_000;
/** a large file on a slow line */
const UPLOAD_MS = 300_000;
const PAUSE_MS = 500;
const PORT_AGAIN_MS = 1000;

interface BridgeOptions {
  /** on loopback */
  port: number;
  /** the Bot API as the binding shows it, e.g. `http://127.0.0.1:8081` */
  target: string;
  /** folder of the messages that are on their way */
  outbox: string;
  warn: (text: string) => void;
  /** A text for that chat is on disk. */
  onKept?: (chat: string) => void;
  /** how long OpenClaw is let wait for a message */
  heldMs?: number;
}

interface Bridge {
  target: string;
  messages: OutgoingMessages;
}

/**
 * Stands between OpenClaw and the Bot API. OpenClaw tries a message again only when it is sure that it was not sent, and
 * otherwise lets the answer go. Here a message is kept and tried until there is an answer, by the next process if need be:
 * the host's relay knows what it has sent already, so trying again is safe where OpenClaw cannot know it.
 *
 * It does not keep the process alive. A port that is taken is another process's bridge to the same place, an `openclaw` on the
 * command line; when that ends, it is this one's turn.
 */
export function startBotApiBridge({ port, target, outbox, warn, ...others }: BridgeOptions): Server {
  const messages = new OutgoingMessages({ outbox: new Outbox(outbox, warn), target, warn, ...others });
  const server = createServer((request, response) => {
    bridge(request, response, { target, messages }).catch((error: unknown) => {
      warn(`Bot API call failed: ${error instanceof Error ? error.message : String(error)}`);
      if (response.headersSent) response.destroy();
      else say(response, 502, { ok: false, error_code: 502, description: "Bad Gateway" });
    });
  });
  const open = () => server.listen(port, "127.0.0.1");
  server.on("error", (error) => {
    if ("code" in error && error.code === "EADDRINUSE") setTimeout(open, PORT_AGAIN_MS).unref();
    else warn(`the Bot API bridge: ${error.message}`);
  });
  server.once("listening", () => messages.resume());
  open();
  server.unref();
  return server;
}

async function bridge(request: IncomingMessage, response: ServerResponse, { target, messages }: Bridge): Promise<void> {
  const { url = "/" } = request;
  // the menu is the kit's: OpenClaw's has forty commands, and not all of these
  if (/\/(set|delete)MyCommands(\?|$)/i.test(url)) {
    request.resume();
    return say(response, 200, { ok: true, result: true });
  }
  if (isText(request) && makesMessage(url))
    return tell(response, await messages.send(url, (await bodyOf(request)).toString(), response));
  if (isText(request) && editsMessage(url))
    return tell(response, await untilAnswered(request, response, target, TRIED_MS));
  if (isUpload(request) && makesMessage(url))
    return tell(response, await untilAnswered(request, response, target, UPLOAD_MS));
  const incoming = await passOn(target, headOf(request), (outgoing) => request.pipe(outgoing), response);
  response.writeHead(incoming.statusCode ?? 502, incoming.headers);
  incoming.on("error", () => response.destroy());
  incoming.pipe(response);
}

function isText({ headers }: IncomingMessage): boolean {
  const size = Number(headers["content-length"] ?? Number.NaN);
  return headers["content-type"]?.startsWith("application/json") === true && size <= LARGEST_BODY;
}

function isUpload({ headers }: IncomingMessage): boolean {
  const size = Number(headers["content-length"] ?? 0);
  return headers["content-type"]?.startsWith("multipart/form-data") === true && size <= LARGEST_FILES;
}

const makesMessage = (url: string): boolean => /\/(send(?!ChatAction)\w*|copyMessage|forwardMessage)(\?|$)/i.test(url);
const editsMessage = (url: string): boolean => /\/editMessage\w+(\?|$)/i.test(url);

const headOf = ({ method = "POST", url = "/", headers }: IncomingMessage): CallHead => ({ method, url, headers });
const bodyOf = async (request: IncomingMessage): Promise<Buffer> => Buffer.concat(await request.toArray());

/**
 * Tries it for as long as OpenClaw waits, and not beyond: after a while the next edit says it better, and a file is too large to be
 * kept. An edit does no harm when it comes twice, and a file that comes twice does less than one that never comes.
 * @param attemptMs of one try
 */
async function untilAnswered(
  request: IncomingMessage,
  response: ServerResponse,
  target: string,
  attemptMs: number,
): Promise<Answer | null> {
  const body = await bodyOf(request);
  const until = Date.now() + TRIED_MS;
  while (!response.destroyed && Date.now() < until) {
    const answer = await attempt(target, headOf(request), body, attemptMs);
    if (answer !== null) return answer;
    await delay(PAUSE_MS, undefined, { ref: false });
  }
  return null;
}

/** The one refusal after which OpenClaw tries again. */
const tryAgain = {
  ok: false,
  error_code: 429,
  description: "Too Many Requests: the host cannot be reached; retry after 30",
  parameters: { retry_after: 30 },
};

function tell(response: ServerResponse, answer: Answer | null): void {
  if (answer === null) return say(response, 429, tryAgain);
  response.writeHead(answer.status, { "content-type": "application/json", "content-length": answer.body.length });
  response.end(answer.body);
}

function say(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
  response.end(text);
}
