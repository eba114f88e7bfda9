import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { messageOf } from "@aegis/protocol/errors";
import type { Upstream } from "../upstream.ts";
import { answerError, answerResult, BotApiError } from "./answer.ts";
import { readParameters } from "./read-parameters.ts";
import { secretEquals } from "./secret-equals.ts";
import { webhookMethod, type WebhookMethods } from "./webhook-methods.ts";

interface Dependencies {
  relayKey: string;
  botToken: string;
  upstream: Upstream;
  webhook: WebhookMethods;
  log: (line: string) => void;
}

/** A bot needs a handful; a hostile one gets no more of the host's memory than this many bodies. */
const mostConnections = 32;

interface Address {
  kind: "method" | "file";
  token: string;
  rest: string;
}

/** `/bot<token>/<method>` or `/file/bot<token>/<path>`. */
function addressOf(path: string): Address | null {
  const found = /^\/(file\/)?bot([^/]+)\/(.+)$/.exec(path);
  const [, file, token, rest] = found ?? [];
  if (token === undefined || rest === undefined) return null;
  return { kind: file === undefined ? "method" : "file", token: decode(token), rest };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What the bot takes for api.telegram.org. */
export function createBotApiServer(deps: Dependencies): Server {
  const server = createServer((request, response) => {
    handle(deps, request, response).catch((error: unknown) => {
      if (error instanceof BotApiError) return answerError(response, error);
      deps.log(`Bot API call failed: ${messageOf(error)}`);
      answerError(response, new BotApiError(500, "Internal Server Error"));
    });
  });
  server.maxConnections = mostConnections;
  return server;
}

async function handle(deps: Dependencies, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const key = request.headers["x-aegis-relay-key"];
  if (!secretEquals(typeof key === "string" ? key : undefined, deps.relayKey)) {
    throw new BotApiError(401, "Unauthorized: only the bot may speak to its relay");
  }
  const url = new URL(request.url ?? "/", "http://relay");
  const address = addressOf(url.pathname);
  if (!address) throw new BotApiError(404, "Not Found");
  if (!secretEquals(address.token, deps.botToken)) throw new BotApiError(401, "Unauthorized");
  if (address.kind === "file") return deps.upstream.download({ path: decode(address.rest), response });

  if (!/^[A-Za-z]+$/.test(address.rest)) throw new BotApiError(404, "Not Found");
  const own = webhookMethod(address.rest);
  if (own === null) {
    return deps.upstream.call({ method: address.rest, query: url.searchParams, request, response });
  }
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  answerResult(response, await deps.webhook.answer(own, await readParameters(request, url.searchParams), gone.signal));
}
