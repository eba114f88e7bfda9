import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { LLMock } from "@copilotkit/aimock";
import { demoReply } from "./demo-reply.ts";
import { toFixtureResponse } from "./reply.ts";

export interface DemoModelOptions {
  host: "127.0.0.1";
  /** 0 takes any free port */
  port: number;
  log: (line: string) => void;
  /** absent: as the demo does */
  reply?: typeof demoReply;
}

export interface DemoModel {
  /** base URL of an OpenAI-compatible API, ending in `/v1` */
  readonly url: string;
  close(): Promise<void>;
}

export const demoModelName = "offline-demo";

/** Starts the model that needs neither key nor network: the same words always get the same answer. */
export async function startDemoModel({ host, port, log, reply }: DemoModelOptions): Promise<DemoModel> {
  const mock = new LLMock({ host, port: 0, journalMaxEntries: 1 });
  mock.on({ predicate: () => true }, (request) => toFixtureResponse((reply ?? demoReply)(request)));
  await mock.start();
  const server = createServer((request, response) => route(mock, request, response, log));
  try {
    const address = await listen(server, host, port);
    return { url: `http://${host}:${address.port}/v1`, close: () => close(server, mock) };
  } catch (error) {
    await mock.stop();
    throw error;
  }
}

/**
 * The library's server also lets its clients replace the answers and read each other's requests. Instances are clients,
 * so only the two calls of a model pass, with none of their headers.
 */
function route(mock: LLMock, request: IncomingMessage, response: ServerResponse, log: (line: string) => void): void {
  const call = `${request.method} ${request.url?.split("?")[0]}`;
  if (call === "GET /v1/models") return answer(response, 200, models);
  if (call === "POST /v1/chat/completions") return forward(mock, request, response, log);
  request.resume();
  answer(response, 404, { error: { message: `The demo model has no ${call}`, type: "invalid_request_error" } });
}

const models = {
  object: "list",
  data: [{ id: demoModelName, object: "model", created: 0, owned_by: "claw-kit" }],
};

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

function forward(mock: LLMock, request: IncomingMessage, response: ServerResponse, log: (line: string) => void): void {
  const outgoing = httpRequest(`${mock.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
  });
  outgoing.on("response", (reply) => {
    response.writeHead(reply.statusCode ?? 502, {
      "content-type": reply.headers["content-type"] ?? "application/json",
    });
    reply.pipe(response);
    reply.on("error", () => response.destroy());
  });
  outgoing.on("error", (error) => {
    if (response.destroyed) return;
    log(`demo model: ${error.message}`);
    if (response.headersSent) response.destroy();
    else answer(response, 502, { error: { message: "The demo model failed", type: "server_error" } });
  });
  response.once("close", () => outgoing.destroy());
  request.pipe(outgoing);
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("not a TCP server"));
      else resolve(address);
    });
  });
}

async function close(server: Server, mock: LLMock): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
  await mock.stop();
}
