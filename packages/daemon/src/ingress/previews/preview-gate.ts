import type { IncomingMessage } from "node:http";
import { isPassword } from "../../core/preview-password.ts";
import type { PreviewRecord } from "../../core/preview-record.ts";
import { PasswordPace } from "./password-pace.ts";
import { PreviewSessions, readCookies } from "./preview-session.ts";

const MAX_FORM_BYTES = 4096;

/** What became of a form that was sent in. */
export type Entry =
  | { kind: "in"; cookie: string }
  | { kind: "wrong" }
  | { kind: "too_soon"; waitMs: number }
  | { kind: "used_up" };

export interface GateDeps {
  /** signs the cookies; when it changes, whoever was let in is asked again */
  key: () => Buffer;
  /** ms since the epoch */
  now: () => number;
  /** lets somebody in; false when that was somebody else's only time */
  open: (preview: PreviewRecord) => boolean;
}

/** Who is let in. A plain link is enough by itself; one with a password, or for one time, asks and gives a cookie. */
export class PreviewGate {
  readonly #open: GateDeps["open"];
  readonly #sessions: PreviewSessions;
  readonly #pace: PasswordPace;
  /** one password is checked at a time, since that is made to be expensive */
  #checking: Promise<unknown> = Promise.resolve();

  constructor({ key, now, open }: GateDeps) {
    this.#open = open;
    this.#sessions = new PreviewSessions(key, now);
    this.#pace = new PasswordPace(now);
  }

  admits(preview: PreviewRecord, request: IncomingMessage): boolean {
    if (preview.passwordHash === null && !preview.oneTime) return preview.openedAt !== null || this.#open(preview);
    return this.#sessions.isIn(preview, readCookies(request.headers.cookie));
  }

  async enter(preview: PreviewRecord, request: IncomingMessage, secure: boolean): Promise<Entry> {
    const password = (await readForm(request)).get("password") ?? "";
    const waitMs = this.#pace.wait(preview.id);
    if (waitMs > 0) return { kind: "too_soon", waitMs };
    if (preview.passwordHash !== null && !(await this.#check(password, preview.passwordHash))) {
      this.#pace.failed(preview.id);
      return { kind: "wrong" };
    }
    this.#pace.succeeded(preview.id);
    return this.#open(preview) ? { kind: "in", cookie: this.#sessions.begin(preview, secure) } : { kind: "used_up" };
  }

  #check(password: string, hash: string): Promise<boolean> {
    const checked = this.#checking.then(() => isPassword(password, hash));
    this.#checking = checked.catch(() => undefined);
    return checked;
  }
}

/** Of a larger body only the beginning counts. */
async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    if (bytes < MAX_FORM_BYTES) chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_FORM_BYTES) break;
  }
  return new URLSearchParams(Buffer.concat(chunks).subarray(0, MAX_FORM_BYTES).toString());
}
