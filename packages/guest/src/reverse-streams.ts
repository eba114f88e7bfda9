import { randomUUID } from "node:crypto";
import type { Socket } from "node:net";
import type { HarnessNotifications } from "@aegis/protocol/control";

const MAX_WAITING = 256;
/** How long a connection waits for a host, in ms. */
const WAIT_MS = 10_000;
/** How long a refused client may take to read the refusal, in ms. */
const LINGER_MS = 1000;

/** What a connection inside is for. */
export type ReverseTarget = { kind: "guest_api" } | { kind: "binding"; binding: string };

interface Waiting {
  socket: Socket;
  request: HarnessNotifications["stream.open"];
  timer: NodeJS.Timeout;
}

/** Connections from inside that wait for the host's half. All of them speak HTTP, so a refusal does too. */
export class ReverseStreams {
  readonly #announce: (request: HarnessNotifications["stream.open"]) => void;
  readonly #waiting = new Map<string, Waiting>();

  /** @param announce tells the host, if one is there */
  constructor(announce: (request: HarnessNotifications["stream.open"]) => void) {
    this.#announce = announce;
  }

  /** @param socket paused and half-open */
  open(socket: Socket, target: ReverseTarget, token: string): void {
    socket.on("error", () => socket.destroy());
    if (this.#waiting.size >= MAX_WAITING)
      return refuse(socket, `${MAX_WAITING} connections wait for the host already; try again later.`);
    const request = { stream_id: randomUUID(), token, ...target };
    const timer = setTimeout(
      () => this.refuse(request.stream_id, "The host did not answer in time; try again."),
      WAIT_MS,
    );
    this.#waiting.set(request.stream_id, { socket, request, timer });
    socket.once("close", () => this.#take(request.stream_id));
    this.#announce(request);
  }

  /** Tells a new host of everything that still waits, also of what the one before it was told. */
  hostArrived(): void {
    for (const { request } of this.#waiting.values()) this.#announce(request);
  }

  /** Tells the host again, which takes none with an older token: those that waited since before a restore have one. */
  renew(token: string): void {
    for (const waiting of this.#waiting.values()) {
      if (waiting.request.token === token) continue;
      waiting.request = { ...waiting.request, token };
      this.#announce(waiting.request);
    }
  }

  /** The connection that waits under this id, now the caller's; null when there is none. */
  accept(streamId: string): Socket | null {
    return this.#take(streamId)?.socket ?? null;
  }

  refuse(streamId: string, why: string): void {
    const waiting = this.#take(streamId);
    if (waiting !== null) refuse(waiting.socket, why);
  }

  #take(streamId: string): Waiting | null {
    const waiting = this.#waiting.get(streamId);
    if (waiting === undefined) return null;
    this.#waiting.delete(streamId);
    clearTimeout(waiting.timer);
    return waiting;
  }
}

function refuse(socket: Socket, error: string): void {
  const body = `${JSON.stringify({ error, code: "unavailable" })}\n`;
  const head = [
    "HTTP/1.1 503 Service Unavailable",
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Retry-After: 1",
    "Connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
  socket.resume(); // closing with unread input would reset the connection and lose the answer
  socket.once("end", () => socket.destroy());
  setTimeout(() => socket.destroy(), LINGER_MS);
}
