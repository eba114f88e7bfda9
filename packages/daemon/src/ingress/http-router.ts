import http from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { AegisError, RETRY_AFTER_S } from "@aegis/protocol/errors";
import type { OpenConnection } from "../core/open-connection.ts";
import { isHopByHop } from "../core/hop-by-hop.ts";
import { splice } from "./splice.ts";
import { unavailableHtml, unavailablePage } from "./unavailable-page.ts";

export interface RouteTarget {
  /** the instances that the router may choose from when a request names none */
  only(): string | null;
  /** A connection to the first HTTP port of an instance, which it wakes. @throws AegisError */
  connectHttp(idOrHandle: string): Promise<OpenConnection>;
  /** a request was refused for the name that it was sent to */
  onForeignHost(host: string, reason: string): void;
}

const HEADER = "x-aegis-instance";

/** One port for all instances: by header, by `<handle>.localhost`, or the only one there is. */
export class HttpRouter {
  readonly #target: RouteTarget;
  readonly #server = http.createServer({ keepAliveTimeout: 5_000 });

  constructor(target: RouteTarget) {
    this.#target = target;
    this.#server.on("request", (request, response) => void this.#onRequest(request, response));
    this.#server.on(
      "upgrade",
      (request: http.IncomingMessage, socket: Duplex, head: Buffer) => void this.#onUpgrade(request, socket, head),
    );
  }

  /** @returns the port; rejects with the system's error when it is taken */
  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", () => resolve((this.#server.address() as AddressInfo).port));
    });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  async #onRequest(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    try {
      const connection = await this.#connect(request);
      connection.asked();
      const { stream } = connection;
      const upstream = http.request({
        createConnection: () => stream,
        method: request.method ?? "GET",
        path: request.url ?? "/",
        headers: forwardHeaders(request.rawHeaders),
        setHost: false,
      });
      // the stream comes paused, and only now is somebody there to read it
      upstream.once("socket", () => stream.resume());
      upstream.on("response", (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.statusMessage, endToEnd(answer.rawHeaders));
        answer.pipe(response);
      });
      upstream.on("error", (error) => refuse(response, error));
      response.on("close", () => upstream.destroy());
      request.pipe(upstream);
    } catch (error) {
      refuse(response, error);
    }
  }

  async #onUpgrade(request: http.IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on("error", () => socket.destroy());
    try {
      const connection = await this.#connect(request);
      connection.asked();
      const { stream } = connection;
      stream.write(rawHead(request));
      if (head.length > 0) stream.write(head);
      socket.on("data", (chunk: Buffer) => connection.fromOutside(chunk));
      splice(socket, stream);
    } catch (error) {
      socket.end(unavailablePage(error));
    }
  }

  #connect(request: http.IncomingMessage): Promise<OpenConnection> {
    this.#refuseForeignHost(request.headers.host);
    const named = request.headers[HEADER];
    const name = (Array.isArray(named) ? named[0] : named) ?? handleOf(request.headers.host) ?? this.#target.only();
    if (name === null) {
      throw new AegisError(
        "instance_not_found",
        "Say which instance is meant: open http://<handle>.localhost at this port, or send the header X-Aegis-Instance.",
      );
    }
    return this.#target.connectHttp(name);
  }

  /** A page of somebody else's whose name was made to lead here (DNS rebinding) is same-origin, and may set any header. */
  #refuseForeignHost(host: string | undefined): void {
    const name = hostName(host).toLowerCase();
    if (["localhost", "127.0.0.1", "[::1]"].includes(name) || name.endsWith(".localhost")) return;
    const reason = `The router answers at 127.0.0.1, localhost and *.localhost, not at ${JSON.stringify(name)}. A proxy before it must send such a Host.`;
    this.#target.onForeignHost(name, reason);
    throw new AegisError("forbidden", reason);
  }
}

const hostName = (host: string | undefined): string => (host ?? "").replace(/:\d+$/, "");

function handleOf(host: string | undefined): string | null {
  const name = hostName(host);
  return name.endsWith(".localhost") ? name.slice(0, -".localhost".length) : null;
}

/** Names and values as they came, in order, repeated ones kept. */
function endToEnd(rawHeaders: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = rawHeaders.slice(at, at + 2);
    if (!isHopByHop(name) && name.toLowerCase() !== HEADER) kept.push(name, value);
  }
  return kept;
}

const forwardHeaders = (rawHeaders: readonly string[]): string[] => endToEnd(rawHeaders).concat("Connection", "close");

function rawHead(request: http.IncomingMessage): string {
  const lines = [`${request.method} ${request.url} HTTP/1.1`];
  for (let at = 0; at + 1 < request.rawHeaders.length; at += 2) {
    const [name = "", value = ""] = request.rawHeaders.slice(at, at + 2);
    if (name.toLowerCase() !== HEADER) lines.push(`${name}: ${value}`);
  }
  return `${lines.join("\r\n")}\r\n\r\n`;
}

function refuse(response: http.ServerResponse, error: unknown): void {
  if (response.headersSent) return void response.destroy();
  const final = error instanceof AegisError && [403, 404, 410].includes(error.status);
  response
    .writeHead(final ? error.status : 503, {
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-store",
      ...(final ? {} : { "retry-after": String(RETRY_AFTER_S) }),
    })
    .end(unavailableHtml(error));
}
