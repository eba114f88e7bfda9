import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { messageOf } from "@aegis/protocol/errors";
import { BotApiError } from "../bot-api/answer.ts";
import { readBody } from "../bot-api/read-parameters.ts";
import { secretEquals } from "../bot-api/secret-equals.ts";
import { isUpdate } from "../delivery/lane-of.ts";
import type { UpdateQueue } from "../delivery/update-queue.ts";
import { parseJson } from "../json-value.ts";
import type { Welcome } from "./welcome.ts";

export const publicPath = "/telegram-webhook";
/** Telegram opens at most a hundred; the whole internet may try more. */
const mostConnections = 128;
const wholeRequestMs = 30_000;
const strangersPerLine = 100;

interface Dependencies {
  /** what Telegram was told to put into each post */
  secret: string;
  queue: UpdateQueue;
  welcome: Welcome;
  onQueued: () => void;
  log: (line: string) => void;
}

/**
 * The end of the public URL. It looks at the secret before anything else, and answers 200 only when the update is on disk;
 * anything else makes Telegram send it again. Strangers wake nobody and are not read.
 */
export function createWebhookReceiver(deps: Dependencies): Server {
  let strangers = 0;
  const server = createServer((request, response) => {
    if (!isTelegram(request, deps.secret)) {
      if (strangers++ % strangersPerLine === 0) deps.log(`the public URL was called without the secret (${strangers})`);
      return refuse(response, isPost(request) ? 401 : 404);
    }
    receive(deps, request, response).catch((error: unknown) => {
      deps.log(`an update by webhook was not taken: ${messageOf(error)}`);
      refuse(response, error instanceof BotApiError ? error.status : 500);
    });
  });
  server.maxConnections = mostConnections;
  server.requestTimeout = wholeRequestMs;
  server.headersTimeout = wholeRequestMs;
  return server;
}

const isPost = ({ method, url }: IncomingMessage): boolean =>
  method === "POST" && (url ?? "").split("?")[0]?.endsWith(publicPath) === true;

function isTelegram(request: IncomingMessage, secret: string): boolean {
  const given = request.headers["x-telegram-bot-api-secret-token"];
  return isPost(request) && secretEquals(typeof given === "string" ? given : undefined, secret);
}

/** The connection goes with it: what a stranger still sends is not read. */
function refuse(response: ServerResponse, status: number): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, { connection: "close", "content-length": 0 }).end();
}

async function receive(deps: Dependencies, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const update = parseJson((await readBody(request)).toString("utf8"));
  if (!isUpdate(update)) {
    // refused, it would come again and again and hold up what is behind it
    deps.log("Telegram posted something that is no update");
  } else if (deps.welcome(update)) {
    deps.queue.receive([update], null);
    deps.onQueued();
  }
  response.writeHead(200, { "content-length": 0 }).end();
}
