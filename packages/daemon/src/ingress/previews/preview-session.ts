import { createHmac, timingSafeEqual } from "node:crypto";
import type { PreviewRecord } from "../../core/preview-record.ts";

const LIFETIME_MS = 7 * 86_400_000;
/** begins the name of every cookie that is ours: a site inside neither sees nor sets them */
export const COOKIE_PREFIX = "aegis_preview_";

/** What a browser that was let in shows the next time: a cookie that only this home can have signed. */
export class PreviewSessions {
  readonly #key: () => Buffer;
  readonly #now: () => number;

  constructor(key: () => Buffer, now: () => number) {
    this.#key = key;
    this.#now = now;
  }

  /** @returns value of a Set-Cookie header */
  begin(preview: PreviewRecord, secure: boolean): string {
    const until = Math.min(this.#now() + LIFETIME_MS, preview.expiresAt ?? Number.POSITIVE_INFINITY);
    const seconds = Math.max(Math.round((until - this.#now()) / 1000), 0);
    const value = `${until}.${this.#sign(preview, until)}`;
    const attributes = `Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure ? "; Secure" : ""}`;
    return `${nameOf(preview)}=${value}; ${attributes}`;
  }

  isIn(preview: PreviewRecord, cookies: ReadonlyMap<string, string>): boolean {
    const [until = "", signature = ""] = (cookies.get(nameOf(preview)) ?? "").split(".");
    if (!/^\d{1,16}$/.test(until) || Number(until) <= this.#now()) return false;
    const [is, must] = [Buffer.from(signature), Buffer.from(this.#sign(preview, Number(until)))];
    return is.length === must.length && timingSafeEqual(is, must);
  }

  /** Another password makes another link, so the token stands for all that was agreed on. */
  #sign(preview: PreviewRecord, until: number): string {
    return createHmac("sha256", this.#key()).update(`${preview.id} ${preview.token} ${until}`).digest("base64url");
  }
}

const nameOf = (preview: PreviewRecord): string => `${COOKIE_PREFIX}${preview.id}`;

export function readCookies(header: string | undefined): Map<string, string> {
  const cookies = new Map<string, string>();
  for (const part of (header ?? "").split(";")) {
    const split = part.indexOf("=");
    if (split !== -1) cookies.set(part.slice(0, split).trim(), part.slice(split + 1).trim());
  }
  return cookies;
}
