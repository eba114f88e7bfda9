import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { AegisError } from "@aegis/protocol/errors";
import type { OpenConnection } from "../../core/open-connection.ts";
import { PREVIEW_TOKEN, type PreviewRecord } from "../../core/preview-record.ts";
import type { Previews } from "../../core/previews.ts";
import { forwardRequest, forwardUpgrade } from "../http-proxy.ts";
import type { PreviewAddress, PreviewMatch } from "./preview-address.ts";
import type { PreviewGate } from "./preview-gate.ts";
import {
  ENTER_PATH,
  gonePage,
  oneTimePage,
  passwordPage,
  unavailablePreviewPage,
  unknownPage,
  waitingPage,
} from "./preview-pages.ts";
import { previewRewrite, type Shown } from "./preview-rewrite.ts";
import { COOKIE_PREFIX, readCookies } from "./preview-session.ts";

export interface PreviewServerDeps {
  previews: Previews;
  address: PreviewAddress;
  gate: PreviewGate;
  /** wakes it. @throws AegisError `instance_deleted`, `instance_not_found`, `guest_unreachable`, `wrong_state` */
  connect: (instanceId: string, guestPort: number) => Promise<OpenConnection>;
}

/** A site that takes longer to be there is waited for in the browser. */
const PATIENCE_MS = 800;
/** which preview a WebSocket belongs to that does not say so itself */
const LAST_COOKIE = `${COOKIE_PREFIX}last`;

type Found = { preview: PreviewRecord; shown: Shown } | { refused: number; page: string } | { redirect: string };

/** Sites of instances for those who have the link. What comes by it may ask for the site, and for nothing else. */
export class PreviewServer {
  readonly #deps: PreviewServerDeps;

  constructor(deps: PreviewServerDeps) {
    this.#deps = deps;
  }

  /** Null for a request that is meant for the router itself. */
  match(request: IncomingMessage): PreviewMatch | null {
    const match = this.#deps.address.match(request.headers.host, request.url ?? "/");
    const isHandle = match?.by === "host" && isLocal(request) && this.#deps.previews.find(match.token) === null;
    return isHandle ? null : match;
  }

  async serve(match: PreviewMatch, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const found = this.#find(match, request, refererToken);
    if ("redirect" in found) return send(response, 307, "", { location: found.redirect });
    if ("refused" in found) return send(response, found.refused, found.page);
    const { preview, shown } = found;
    if (isEntry(request, shown)) return this.#enter(preview, shown, request, response);
    if (!this.#deps.gate.admits(preview, request)) return askIn(preview, shown, request, response);
    const connection = await this.#connect(preview, wantsPage(request)).catch((error: unknown) => {
      sendFailure(response, error);
      return null;
    });
    if (connection === "later") return send(response, 200, waitingPage(), { "retry-after": "1" });
    if (connection === null) return;
    if (response.destroyed) return void connection.stream.destroy();
    const cookie = shown.prefix === "" ? null : lastCookie(preview, shown);
    forwardRequest(request, response, connection, previewRewrite(shown, cookie), (error) =>
      sendFailure(response, error),
    );
  }

  async upgrade(match: PreviewMatch, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const found = this.#find(match, request, cookieToken);
    if (!("preview" in found)) return refuseUpgrade(socket, "404 Not Found");
    const { preview, shown } = found;
    if (!this.#deps.gate.admits(preview, request)) return refuseUpgrade(socket, "401 Unauthorized");
    try {
      const connection = await this.#deps.connect(preview.instanceId, preview.guestPort);
      if (socket.destroyed) return void connection.stream.destroy();
      forwardUpgrade(request, socket, head, connection, previewRewrite(shown));
    } catch (error) {
      refuseUpgrade(socket, isOver(error) ? "410 Gone" : "503 Service Unavailable");
    }
  }

  /**
   * @param remembered what a request under a path of the public host may belong to that does not begin with `/p/`: a
   * page's own absolute links
   */
  #find(match: PreviewMatch, request: IncomingMessage, remembered: (request: IncomingMessage) => string | null): Found {
    const token = match.by === "foreign" ? remembered(request) : match.token;
    const preview = token === null ? null : this.#deps.previews.find(token);
    if (preview === null) return { refused: 404, page: unknownPage() };
    if (this.#deps.previews.isOver(preview)) return { refused: 410, page: gonePage() };
    const prefix = match.by === "host" ? "" : `/p/${preview.token}`;
    const url = request.url ?? "/";
    if (match.by === "foreign" && remembered === refererToken) return { redirect: `${prefix}${url}` };
    const path = match.by === "path" ? match.rest : url;
    if (path === "") return { redirect: `${prefix}/` };
    const host = (request.headers.host ?? "").toLowerCase();
    const secure = this.#deps.address.isSecure(match, host);
    const { guestPort } = preview;
    return { preview, shown: { guestPort, path: path.startsWith("/") ? path : `/${path}`, prefix, host, secure } };
  }

  async #enter(
    preview: PreviewRecord,
    shown: Shown,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const entry = await this.#deps.gate.enter(preview, request, shown.secure);
    switch (entry.kind) {
      case "in":
        return send(response, 303, "", { location: `${shown.prefix}/`, "set-cookie": entry.cookie });
      case "wrong":
        return send(response, 401, passwordPage(shown.prefix, "That was not the password."));
      case "too_soon":
        return send(response, 429, passwordPage(shown.prefix, "Too many wrong passwords. Wait a little."), {
          "retry-after": String(Math.ceil(entry.waitMs / 1000)),
        });
      case "used_up":
        return send(response, 410, gonePage());
    }
  }

  /** @param mayWait for a page that looks again by itself, once it is clear that this takes longer */
  async #connect({ instanceId, guestPort }: PreviewRecord, mayWait: boolean): Promise<OpenConnection | "later"> {
    const opening = this.#deps.connect(instanceId, guestPort);
    if (!mayWait) return opening;
    const done = new AbortController();
    const patience = delay(PATIENCE_MS, "later" as const, { signal: done.signal });
    patience.catch(() => undefined);
    const first = await Promise.race([opening, patience]).finally(() => done.abort());
    if (first === "later") opening.then(({ stream }) => stream.destroy()).catch(() => undefined);
    return first;
  }
}

const isLocal = (request: IncomingMessage): boolean =>
  (request.headers.host ?? "").replace(/:\d+$/, "").endsWith(".localhost");

const isEntry = ({ method }: IncomingMessage, { path }: Shown): boolean => method === "POST" && path === ENTER_PATH;

/** A browser that opens a page, rather than a part of one. */
function wantsPage({ method, headers }: IncomingMessage): boolean {
  return method === "GET" && (headers.accept ?? "").includes("text/html") && headers["sec-fetch-dest"] !== "iframe";
}

function askIn(preview: PreviewRecord, shown: Shown, request: IncomingMessage, response: ServerResponse): void {
  if (preview.oneTime && preview.openedAt !== null) return send(response, 410, gonePage());
  if (!wantsPage(request)) return send(response, 401, unknownPage());
  if (preview.passwordHash === null) return send(response, 200, oneTimePage(shown.prefix));
  send(response, 401, passwordPage(shown.prefix, "Whoever sent you the link knows it."));
}

/** The token of the page that a request came from: `https://host/p/<token>/...`. */
function refererToken({ headers }: IncomingMessage): string | null {
  const from = URL.parse(headers.referer ?? "");
  const token = from?.host === headers.host ? /^\/p\/([^/]+)\//.exec(from?.pathname ?? "")?.[1] : undefined;
  return token !== undefined && PREVIEW_TOKEN.test(token) ? token : null;
}

function cookieToken({ headers }: IncomingMessage): string | null {
  const token = readCookies(headers.cookie).get(LAST_COOKIE) ?? "";
  return PREVIEW_TOKEN.test(token) ? token : null;
}

const lastCookie = ({ token }: PreviewRecord, { secure }: Shown): string =>
  `${LAST_COOKIE}=${token}; Path=/; HttpOnly; SameSite=Lax${secure ? "; Secure" : ""}`;

const isOver = (error: unknown): boolean =>
  error instanceof AegisError && (error.code === "instance_deleted" || error.code === "instance_not_found");

function sendFailure(response: ServerResponse, error: unknown): void {
  if (response.headersSent) return void response.destroy();
  if (isOver(error)) return send(response, 410, gonePage());
  send(response, 503, unavailablePreviewPage(), { "retry-after": "3" });
}

function send(response: ServerResponse, status: number, page: string, headers: Record<string, string> = {}): void {
  response
    .writeHead(status, {
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-store",
      "referrer-policy": "same-origin",
      "x-robots-tag": "noindex",
      ...headers,
    })
    .end(page);
}

const refuseUpgrade = (socket: Duplex, status: string): void =>
  void socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
