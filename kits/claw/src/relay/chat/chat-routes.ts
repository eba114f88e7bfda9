import { createReadStream } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { AegisError } from "@aegis/protocol/errors";
import { readBody } from "../bot-api/read-parameters.ts";
import { asObject, type JsonObject, parseJson } from "../json-value.ts";
import type { ChatEvent, ChatSnapshot } from "../local/chat-message.ts";
import type { ChatServerDependencies } from "./chat-server.ts";

interface Call {
  deps: ChatServerDependencies;
  request: IncomingMessage;
  response: ServerResponse;
  query: URLSearchParams;
  /** what the path's group caught */
  id: string;
}

export interface ChatRoute {
  method: "GET" | "POST";
  /** has one group, empty when the path holds no id */
  path: RegExp;
  needsSession: boolean;
  run: (call: Call) => Promise<void> | void;
}

/** A text of Telegram has at most this many characters. */
const longestText = 4096;
const largestRequest = 64 * 1024;
const largestUpload = 20 * 1024 * 1024;
/** Keeps the stream open through idle connections and finds dead ones. */
const heartbeatMs = 25_000;

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

async function readObject(request: IncomingMessage): Promise<JsonObject> {
  const value = asObject(parseJson((await readBody(request, largestRequest)).toString("utf8")));
  if (!value) throw new AegisError("invalid_json", "The body is no JSON object.");
  return value;
}

async function openSession({ deps, request, response }: Call): Promise<void> {
  const cookie = deps.access.exchange((await readObject(request))["key"]);
  if (cookie === null) {
    throw new AegisError("unauthorized", "This key does not open the chat. Use the address printed at its start.");
  }
  response.setHeader("set-cookie", cookie);
  answer(response, 200, {});
}

async function write({ deps, request, response }: Call): Promise<void> {
  const text = (await readObject(request))["text"];
  if (typeof text !== "string" || text.trim() === "") {
    throw new AegisError("invalid_request", "A message needs some text.");
  }
  if (text.length > longestText) {
    throw new AegisError("too_large", `A message can have ${longestText} characters; this one has ${text.length}.`);
  }
  answer(response, 201, deps.chat.write(text.trim()));
}

async function attach({ deps, request, response, query }: Call): Promise<void> {
  const bytes = await readBody(request, largestUpload);
  if (bytes.length === 0) throw new AegisError("invalid_request", "The file is empty.");
  const upload = { name: query.get("name") ?? "file", type: request.headers["content-type"] ?? "", bytes };
  answer(response, 201, await deps.chat.attach(upload, (query.get("caption") ?? "").slice(0, 1024)));
}

async function press({ deps, request, response, id }: Call): Promise<void> {
  const data = (await readObject(request))["data"];
  if (typeof data !== "string" || !deps.chat.press(Number(id), data)) {
    throw new AegisError("not_found", "This button is not there any more.");
  }
  answer(response, 202, {});
}

async function download({ deps, response, id }: Call): Promise<void> {
  const file = deps.files.find(id);
  if (!file) throw new AegisError("file_not_found", "This file is not there any more.");
  // only what was recognised as a picture is ever drawn; all else is handed over as bytes
  const shown = file.kind === "photo";
  const name = encodeURIComponent(file.name);
  response.writeHead(200, {
    "content-type": shown ? file.type : "application/octet-stream",
    "content-length": file.size,
    "content-disposition": shown ? "inline" : `attachment; filename*=UTF-8''${name}`,
    "content-security-policy": "default-src 'none'; sandbox",
  });
  await pipeline(createReadStream(deps.files.path(file)), response).catch(() => response.destroy());
}

/** A stream of server-sent events; it begins with all there is, so that a new connection never misses anything. */
function follow({ deps, response }: Call): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const send = (event: ChatEvent | ({ type: "snapshot" } & ChatSnapshot)): void => {
    response.write(`data: ${JSON.stringify(event)}\n\n`);
  };
  send({ type: "snapshot", ...deps.chat.snapshot() });
  const unsubscribe = deps.chat.feed.subscribe(send);
  const heartbeat = setInterval(() => response.write(": still here\n\n"), heartbeatMs);
  response.once("close", () => {
    clearInterval(heartbeat);
    unsubscribe();
  });
}

/** The page's API, below `api/`. */
export const chatRoutes: readonly ChatRoute[] = [
  { method: "POST", path: /^session()$/, needsSession: false, run: openSession },
  { method: "GET", path: /^events()$/, needsSession: true, run: follow },
  {
    method: "GET",
    path: /^messages()$/,
    needsSession: true,
    run: ({ deps, response }) => answer(response, 200, deps.chat.snapshot()),
  },
  { method: "POST", path: /^messages()$/, needsSession: true, run: write },
  { method: "POST", path: /^messages\/(\d+)\/press$/, needsSession: true, run: press },
  { method: "POST", path: /^files()$/, needsSession: true, run: attach },
  { method: "GET", path: /^files\/([\w-]+)$/, needsSession: true, run: download },
];
