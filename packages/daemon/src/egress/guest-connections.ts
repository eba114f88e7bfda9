import http from "node:http";
import type { Duplex } from "node:stream";
import { RETRY_AFTER_S } from "@aegis/protocol/errors";
import { slicedStream } from "./sliced-stream.ts";

/** An instance that uses a binding. */
export interface BindingCaller {
  readonly id: string;
  readonly handle: string;
  readonly boot: number;
  /** what is held counts as activity until the returned function is called */
  readonly connections: { hold(): () => void };
}

export interface GuestConnection {
  caller: BindingCaller;
  /** of the binding */
  name: string;
}

export interface GuestRequests {
  /** must not reject */
  request(connection: GuestConnection, request: http.IncomingMessage, response: http.ServerResponse): Promise<void>;
  /** must not reject */
  upgrade(connection: GuestConnection, request: http.IncomingMessage, socket: Duplex, head: Buffer): Promise<void>;
  isUpgrade(request: http.IncomingMessage): boolean;
}

/** Connections of one instance to one binding. */
const MAX_CONNECTIONS = 128;
/** Requests that a connection may have unanswered. One read of it can hold a thousand, which would hold up everybody. */
const MAX_IN_A_ROW = 16;
const SLICE_BYTES = 1024;
/** How long a connection may take to say what it wants, and how long it may be kept without a request, in ms. */
const WAIT_MS = 60_000;

interface Open extends GuestConnection {
  waiting: NodeJS.Timeout | undefined;
  unanswered: number;
}

/** The HTTP server at the host's end of the streams that processes inside opened. It listens nowhere. */
export class GuestConnections {
  readonly #requests: GuestRequests;
  readonly #waitMs: number;
  readonly #open = new WeakMap<Duplex, Open>();
  /** how many of each binding of each instance */
  readonly #counts = new Map<string, number>();
  readonly #server: http.Server;

  constructor(requests: GuestRequests, waitMs = WAIT_MS) {
    this.#requests = requests;
    this.#waitMs = waitMs;
    // without a listening socket the server's own timeouts do not run, but for the one between two requests
    const shouldUpgradeCallback = (request: http.IncomingMessage) => requests.isUpgrade(request);
    const options = { keepAliveTimeout: waitMs, requestTimeout: 0, shouldUpgradeCallback };
    this.#server = http.createServer(options);
    const onRequest = (request: http.IncomingMessage, response: http.ServerResponse) =>
      void this.#onRequest(request, response);
    this.#server.on("request", onRequest).on("checkContinue", onRequest);
    this.#server.on("upgrade", (request, socket, head) => void this.#onUpgrade(request, socket, head));
  }

  accept(guest: Duplex, caller: BindingCaller, name: string): void {
    guest.on("error", () => guest.destroy());
    const key = `${caller.id}/${name}`;
    const count = this.#counts.get(key) ?? 0;
    if (count >= MAX_CONNECTIONS) return turnAway(guest);
    this.#counts.set(key, count + 1);
    const stream = slicedStream(guest, SLICE_BYTES);
    const open: Open = { caller, name, waiting: undefined, unanswered: 0 };
    this.#open.set(stream, open);
    stream.once("close", () => {
      clearTimeout(open.waiting);
      const left = (this.#counts.get(key) ?? 1) - 1;
      if (left > 0) this.#counts.set(key, left);
      else this.#counts.delete(key);
    });
    this.#await(stream, open);
    this.#server.emit("connection", stream);
  }

  #await(stream: Duplex, open: Open): void {
    clearTimeout(open.waiting);
    open.waiting = setTimeout(() => stream.destroy(), this.#waitMs).unref();
  }

  async #onRequest(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const stream = request.socket;
    const open = this.#open.get(stream);
    if (open === undefined || stream.destroyed) return void response.destroy();
    open.unanswered += 1;
    if (open.unanswered > MAX_IN_A_ROW) return void stream.destroy();
    clearTimeout(open.waiting);
    response.on("error", () => response.destroy());
    const release = open.caller.connections.hold();
    response.once("close", () => {
      release();
      open.unanswered -= 1;
      if (open.unanswered === 0 && !stream.destroyed) this.#await(stream, open);
    });
    await this.#requests.request(open, request, response);
  }

  async #onUpgrade(request: http.IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const open = this.#open.get(socket);
    if (open === undefined) return void socket.destroy();
    clearTimeout(open.waiting);
    socket.once("close", open.caller.connections.hold());
    await this.#requests.upgrade(open, request, socket, head);
  }
}

function turnAway(stream: Duplex): void {
  const body = `{"error":"${MAX_CONNECTIONS} connections to this binding are open already; close some.","code":"unavailable"}\n`;
  stream.end(
    `HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nretry-after: ${RETRY_AFTER_S}\r\nconnection: close\r\n\r\n${body}`,
  );
  stream.resume();
  setTimeout(() => stream.destroy(), 1000).unref();
}
