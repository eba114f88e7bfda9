import { once } from "node:events";
import type http from "node:http";
import type { Duplex } from "node:stream";
import Type from "typebox";
import { Compile } from "typebox/compile";
import { WebSocketServer } from "ws";
import type { RawData, WebSocket } from "ws";
import { AegisError } from "@aegis/protocol/errors";
import { FrameDecoder, FrameType, MAX_FRAME_BYTES, encodeFrame } from "@aegis/protocol/exec-frame";
import { ExecRequest } from "@aegis/protocol/exec";
import type { RunningExec } from "../core/connections.ts";
import type { Instance } from "../core/instance.ts";
import { SerialQueue } from "../core/serial-queue.ts";
import type { ExecAudit } from "./audit-execs.ts";

const Query = Compile(
  Type.Object({
    ...ExecRequest.properties,
    cols: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
    rows: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
  }),
);

/** For the description of the API: it is no route. */
export const EXEC_UPGRADE = { method: "GET", url: "/v1/instances/:id/exec" };

const fromClient: readonly FrameType[] = [FrameType.stdin, FrameType.stdinEnd, FrameType.resize, FrameType.signal];

/** What a WebSocket may hold back before the command's output waits. */
const HIGH_WATER_BYTES = 1024 * 1024;

/** Who asks for a command without naming it says within this time what it is. */
const REQUEST_WITHIN_MS = 10_000;

/**
 * Interactive exec: `GET .../exec` with a WebSocket upgrade; binary messages are exec frames. The exec request is the first
 * message, as text, or short enough for a URL the query parameter `request`.
 */
export class ExecSocket {
  readonly #find: (request: http.IncomingMessage, idOrHandle: string) => Instance;
  readonly #audit: ExecAudit;
  readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_FRAME_BYTES + 16 });

  /** @param find the instance that the caller may reach under that name; throws AegisError */
  constructor(find: (request: http.IncomingMessage, idOrHandle: string) => Instance, audit: ExecAudit) {
    this.#find = find;
    this.#audit = audit;
  }

  attach(server: http.Server): void {
    server.on("upgrade", (request: http.IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on("error", () => socket.destroy());
      const asked = parseTarget(request.url ?? "");
      if (asked === null) return void socket.end(NOT_FOUND);
      this.#sockets.handleUpgrade(request, socket, head, (client) => {
        this.#serve(client, request, asked).catch((error: unknown) => fail(client, error));
      });
    });
  }

  close(): void {
    for (const client of this.#sockets.clients) client.terminate();
  }

  async #serve(client: WebSocket, request: http.IncomingMessage, { name, query }: ExecTarget): Promise<void> {
    client.on("error", () => client.terminate());
    const early: RawData[] = [];
    const keep = (data: RawData) => {
      early.push(data);
      client.pause();
    };
    client.on("message", keep);
    const { cols = 80, rows = 24, ...exec } = parseRequest(query ?? (await firstMessage(client, early)));
    const { execId, session, release } = await this.#start(request, name, exec, { cols, rows });
    client.once("close", () => session.close());
    try {
      client.send(JSON.stringify({ exec_id: execId, started_at: new Date().toISOString() }));
      const input = new SerialQueue();
      const take = (data: RawData) =>
        void input.run(() => forward(client, session, data)).catch((error: unknown) => fail(client, error));
      client.off("message", keep).on("message", take).resume();
      early.forEach(take);
      for await (const { type, payload } of session.frames) await sendFrame(client, encodeFrame(type, payload));
      client.close(1000);
    } finally {
      session.close();
      release();
    }
  }

  async #start(
    request: http.IncomingMessage,
    name: string,
    exec: ExecRequest,
    size: { cols: number; rows: number },
  ): Promise<RunningExec> {
    let id = name;
    try {
      const instance = this.#find(request, name);
      id = instance.id;
      const running = await instance.connections.exec(exec, size);
      this.#audit(request, id, exec.command, null);
      return running;
    } catch (error) {
      this.#audit(request, id, exec.command, error);
      throw error;
    }
  }
}

interface ExecTarget {
  name: string;
  /** the exec request; null: it is the first message */
  query: string | null;
}

const NOT_FOUND = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/** Null for what is no exec of any instance; a caller may send anything here. */
function parseTarget(target: string): ExecTarget | null {
  const [, name, search = ""] = /^\/v1\/instances\/([^/?]+)\/exec(?:\?(.*))?$/s.exec(target) ?? [];
  if (name === undefined) return null;
  try {
    return { name: decodeURIComponent(name), query: new URLSearchParams(search).get("request") };
  } catch {
    return null;
  }
}

/** Takes the first of the messages that are collected in `early`. @throws AegisError `invalid_request` when none comes */
async function firstMessage(client: WebSocket, early: RawData[]): Promise<string> {
  const within = AbortSignal.timeout(REQUEST_WITHIN_MS);
  if (early.length === 0)
    await Promise.race([once(client, "message", { signal: within }), once(client, "close", { signal: within })]).catch(
      () => null,
    );
  const [first] = early.splice(0, 1);
  if (first === undefined)
    throw new AegisError("invalid_request", "The exec request must be the first message: none came.");
  return new TextDecoder().decode(bytesOf(first));
}

function parseRequest(text: string): ExecRequest & { cols?: number; rows?: number } {
  let query: unknown;
  try {
    query = JSON.parse(text);
  } catch (error) {
    throw new AegisError(
      "invalid_json",
      "The first message, or the query parameter `request`, must be the exec request as JSON.",
      { cause: error },
    );
  }
  if (Query.Check(query)) return query;
  throw new AegisError(
    "invalid_request",
    `The exec request is not valid: ${Query.Errors(query)[0]?.message ?? "unknown reason"}.`,
  );
}

const bytesOf = (data: RawData): Uint8Array => (Array.isArray(data) ? Buffer.concat(data) : new Uint8Array(data));

async function forward(
  client: WebSocket,
  session: { send: (type: FrameType, payload?: Uint8Array) => Promise<void> },
  data: RawData,
): Promise<void> {
  for (const { type, payload } of new FrameDecoder().push(bytesOf(data))) {
    if (!fromClient.includes(type)) throw new AegisError("invalid_request", "A client may not send output frames.");
    client.pause();
    await session.send(type, payload);
    client.resume();
  }
}

async function sendFrame(client: WebSocket, frame: Uint8Array): Promise<void> {
  if (client.readyState !== client.OPEN) return;
  await new Promise<void>((resolve) => {
    if (client.bufferedAmount < HIGH_WATER_BYTES) {
      client.send(frame);
      resolve();
    } else client.send(frame, () => resolve());
  });
}

function fail(client: WebSocket, error: unknown): void {
  const known = error instanceof AegisError ? error : new AegisError("internal", "Something went wrong inside aegisd.");
  if (client.readyState === client.OPEN) client.send(JSON.stringify(known.toBody()));
  client.close(1011);
}
