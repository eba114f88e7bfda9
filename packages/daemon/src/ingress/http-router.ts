import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { AegisError, RETRY_AFTER_S } from "@aegis/protocol/errors";
import type { OpenConnection } from "../core/open-connection.ts";
import type { ConnectionQuota } from "./connection-quota.ts";
import { forwardRequest, forwardUpgrade, mapHeaders, type Rewrite } from "./http-proxy.ts";
import type { PreviewServer } from "./previews/preview-server.ts";
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
/** How long a client may take to say what it wants, in ms; bodies have Node's five minutes. */
const HEADERS_TIMEOUT_MS = 20_000;
const CHECK_MS = 1_000;

/** One port for all instances: by preview link, by header, by `<handle>.localhost`, or the only one there is. */
export class HttpRouter {
  readonly #target: RouteTarget;
  readonly #previews: PreviewServer;
  readonly #server: http.Server;

  constructor(
    target: RouteTarget,
    previews: PreviewServer,
    quota: ConnectionQuota,
    headersTimeout = HEADERS_TIMEOUT_MS,
  ) {
    this.#target = target;
    this.#previews = previews;
    const connectionsCheckingInterval = CHECK_MS;
    this.#server = http.createServer({ keepAliveTimeout: 5_000, headersTimeout, connectionsCheckingInterval });
    this.#server.on("connection", (socket: Socket) => void quota.admit(socket, "the HTTP router"));
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
      this.#server.listen(port, "127.0.0.1", () => {
        this.#server.off("error", reject).on("error", () => undefined);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  async #onRequest(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const preview = this.#previews.match(request);
    if (preview !== null) return this.#previews.serve(preview, request, response);
    try {
      const connection = await this.#connect(request);
      forwardRequest(request, response, connection, asIs(request), (error) => refuse(response, error));
    } catch (error) {
      refuse(response, error);
    }
  }

  async #onUpgrade(request: http.IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on("error", () => socket.destroy());
    const preview = this.#previews.match(request);
    if (preview !== null) return this.#previews.upgrade(preview, request, socket, head);
    try {
      forwardUpgrade(request, socket, head, await this.#connect(request), asIs(request));
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

/** All but the header that was meant for the router. */
const asIs = (request: http.IncomingMessage): Rewrite => ({
  path: request.url ?? "/",
  request: (headers) => mapHeaders(headers, (name, value) => (name === HEADER ? null : value)),
  response: (headers) => headers,
});

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
