import { createHmac, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { secretEquals } from "../bot-api/secret-equals.ts";

const cookieName = "aegis_chat";
const cookieAgeS = 30 * 24 * 3600;

/** Reads the key that the last start made, or makes one: so the page's address stays the same. */
export function loadChatKey(stateDir: string): string {
  const path = join(stateDir, "chat-key");
  try {
    writeFileSync(path, randomBytes(32).toString("base64url"), { mode: 0o600, flag: "wx" });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
  return readFileSync(path, "utf8").trim();
}

/** Decides who may use the page. */
export class ChatAccess {
  /**
   * First part of every path. Browsers send a cookie to all ports of a host, so also to the pages that work instances
   * serve on 127.0.0.1; a path that only the owner knows keeps the cookie from them.
   */
  readonly base: string;
  readonly #key: string;
  readonly #session: string;

  constructor(key: string) {
    const derive = (use: string): string => createHmac("sha256", key).update(use).digest("base64url");
    this.#key = key;
    this.#session = derive("session");
    this.base = `/chat-${derive("path").slice(0, 22)}`;
  }

  /** The key is in the fragment, which no browser sends anywhere. */
  url(port: number): string {
    return `http://127.0.0.1:${port}${this.base}/#${this.#key}`;
  }

  /** A page elsewhere whose name resolves to 127.0.0.1 still sends its own name here. */
  hasLocalHost(request: IncomingMessage): boolean {
    const port = request.socket.localPort;
    const { host } = request.headers;
    return host === `127.0.0.1:${port}` || host === `localhost:${port}`;
  }

  /** Browsers send the origin with every write. */
  hasOwnOrigin(request: IncomingMessage): boolean {
    return request.headers.origin === `http://${request.headers.host}`;
  }

  hasSession(request: IncomingMessage): boolean {
    const cookies = (request.headers.cookie ?? "").split(";").map((cookie) => cookie.trim());
    return cookies.some(
      (cookie) =>
        cookie.startsWith(`${cookieName}=`) && secretEquals(cookie.slice(cookieName.length + 1), this.#session),
    );
  }

  /** The cookie for somebody who shows the key, else null. */
  exchange(key: unknown): string | null {
    if (typeof key !== "string" || !secretEquals(key, this.#key)) return null;
    return `${cookieName}=${this.#session}; Path=${this.base}/; HttpOnly; SameSite=Strict; Max-Age=${cookieAgeS}`;
  }
}
