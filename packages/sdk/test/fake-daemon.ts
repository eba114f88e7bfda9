import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { WebSocketServer, type WebSocket } from "ws";
import { AegisClient } from "../src/client.ts";

export type FakeSocket = WebSocket;

export interface FakeCall {
  method: string;
  path: string;
  query: Record<string, string>;
  body: unknown;
}

/** `lines` are NDJSON; with `open` the answer is not ended. */
export type FakeAnswer =
  | { status?: number; body?: unknown }
  | { lines: unknown[]; open?: boolean }
  | { write: (response: ServerResponse) => void };

export type FakeRoutes = Record<string, (call: FakeCall) => FakeAnswer>;

/** What a test wants of a daemon: answers by `METHOD /path`, and a note of every call. In a home of its own. */
export class FakeDaemon {
  readonly home: string;
  readonly calls: FakeCall[] = [];
  readonly client: AegisClient;
  readonly routes: FakeRoutes;
  /** called with the exec request, which is the first message */
  onExec: (socket: WebSocket, request: unknown) => void = (socket) => socket.close();
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true });

  private constructor(routes: FakeRoutes, home: string) {
    this.routes = routes;
    this.home = home;
    this.client = new AegisClient({ socketPath: this.socketPath });
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.on("upgrade", (request, socket, head) =>
      this.#sockets.handleUpgrade(request, socket, head, (client) =>
        client.once("message", (data: Buffer) => this.onExec(client, JSON.parse(data.toString()))),
      ),
    );
  }

  static async start(routes: FakeRoutes = {}): Promise<FakeDaemon> {
    const daemon = new FakeDaemon(routes, mkdtempSync(join(tmpdir(), "aegis-fake-")));
    await new Promise<void>((resolve) => daemon.#server.listen(daemon.socketPath, resolve));
    return daemon;
  }

  get socketPath(): string {
    return join(this.home, "aegisd.sock");
  }

  async close(): Promise<void> {
    for (const client of this.#sockets.clients) client.terminate();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.home, { recursive: true, force: true });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "", "http://fake");
    const hasBody = Number(request.headers["content-length"] ?? 0) > 0;
    const call: FakeCall = {
      method: request.method ?? "",
      path: decodeURIComponent(url.pathname),
      query: Object.fromEntries(url.searchParams),
      body: hasBody ? await json(request) : undefined,
    };
    this.calls.push(call);
    const route = this.routes[`${call.method} ${call.path}`];
    send(response, route?.(call) ?? { status: 404, body: { error: `no ${call.path} here`, code: "not_found" } });
  }
}

function send(response: ServerResponse, answer: FakeAnswer): void {
  if ("write" in answer) return answer.write(response);
  if ("lines" in answer) {
    response.writeHead(200);
    for (const line of answer.lines) response.write(`${JSON.stringify(line)}\n`);
    if (answer.open !== true) response.end();
    return;
  }
  response.writeHead(answer.status ?? (answer.body === undefined ? 204 : 200));
  response.end(answer.body === undefined ? undefined : JSON.stringify(answer.body));
}
