import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { AegisError, messageOf } from "@aegis/protocol/errors";
import { BotApiError } from "../bot-api/answer.ts";
import type { FileStore } from "../local/file-store.ts";
import type { LocalChat } from "../local/local-chat.ts";
import type { ChatAccess } from "./chat-access.ts";
import { type ChatRoute, chatRoutes } from "./chat-routes.ts";
import type { Asset } from "./page-assets.ts";

export interface ChatServerDependencies {
  access: ChatAccess;
  assets: ReadonlyMap<string, Asset>;
  chat: LocalChat;
  files: FileStore;
  log: (line: string) => void;
}

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

function protect(response: ServerResponse): void {
  response.setHeader("content-security-policy", policy);
  response.setHeader("x-content-type-options", "nosniff");
  response.setHeader("referrer-policy", "no-referrer");
  response.setHeader("cross-origin-resource-policy", "same-origin");
  response.setHeader("cross-origin-opener-policy", "same-origin");
  response.setHeader("cache-control", "no-store");
}

/** Serves the chat page and its API. */
export function createChatServer(deps: ChatServerDependencies): Server {
  return createServer((request, response) => {
    protect(response);
    handle(deps, request, response).catch((error: unknown) => answerFailure(deps, response, error));
  });
}

function answerFailure(deps: ChatServerDependencies, response: ServerResponse, error: unknown): void {
  const known = asAegisError(error);
  if (!known) deps.log(`chat page: ${messageOf(error)}`);
  if (response.headersSent) return void response.destroy();
  const { status, code, message } = known ?? new AegisError("internal", "The chat failed; its log says why.");
  response.writeHead(status, { "content-type": "application/json", connection: "close" });
  response.end(JSON.stringify({ error: message, code }));
}

function asAegisError(error: unknown): AegisError | null {
  if (error instanceof AegisError) return error;
  if (!(error instanceof BotApiError)) return null;
  return new AegisError(error.status === 413 ? "too_large" : "invalid_request", error.message);
}

const notFound = (): AegisError => new AegisError("not_found", "There is nothing at this address.");

async function handle(deps: ChatServerDependencies, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { access } = deps;
  if (!access.hasLocalHost(request)) {
    throw new AegisError("forbidden", "The chat answers only to the address that was printed at its start.");
  }
  const url = new URL(request.url ?? "/", "http://chat");
  if (!url.pathname.startsWith(`${access.base}/`)) throw notFound();
  const path = url.pathname.slice(access.base.length + 1);
  if (!path.startsWith("api/")) return sendAsset(deps, path, request, response);

  const route = findRoute(request.method ?? "GET", path.slice(4));
  if (!route) throw notFound();
  if (request.method !== "GET" && !access.hasOwnOrigin(request)) {
    throw new AegisError("forbidden", "Only the chat's own page may write here.");
  }
  if (route.route.needsSession && !access.hasSession(request)) {
    throw new AegisError("unauthorized", "Open the chat by the full address that was printed at its start.");
  }
  await route.route.run({ deps, request, response, query: url.searchParams, id: route.id });
}

function findRoute(method: string, path: string): { route: ChatRoute; id: string } | null {
  for (const route of chatRoutes) {
    const id = route.method === method ? route.path.exec(path)?.[1] : undefined;
    if (id !== undefined) return { route, id };
  }
  return null;
}

function sendAsset(
  deps: ChatServerDependencies,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const asset = deps.assets.get(path === "" ? "index.html" : path);
  if (!asset || request.method !== "GET") throw notFound();
  response.writeHead(200, { "content-type": asset.type, "content-length": asset.body.length });
  response.end(asset.body);
}
