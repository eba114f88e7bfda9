import type { AuditAction, AuditDecision, AuditEntry, AuditVerdict } from "@aegis/protocol/audit";
import { ndjson } from "./ndjson.ts";
import type { UnixHttp } from "./unix-http.ts";

export interface AuditQuery {
  /** entries after this number */
  sinceSeq?: number;
  /** RFC 3339; entries at or after it */
  since?: string;
  /** did it, or had it done to it: handle or id */
  instance?: string;
  action?: AuditAction;
  decision?: AuditDecision;
  /** only the newest so many of those that there are, 10,000 at most */
  limit?: number;
  /** go on with new ones until the signal aborts */
  follow?: boolean;
  signal?: AbortSignal;
}

/** Who did what, and what was refused. */
export class AuditApi {
  readonly #http: UnixHttp;

  constructor(http: UnixHttp) {
    this.#http = http;
  }

  /** Oldest first. */
  async *entries({ sinceSeq, signal, ...query }: AuditQuery = {}): AsyncGenerator<AuditEntry> {
    yield* ndjson<AuditEntry>(
      await this.#http.open({ method: "GET", path: "/v1/audit", query: { ...query, since_seq: sinceSeq }, signal }),
      signal,
    );
  }

  /** Whether the entries are those that were written. */
  verify(): Promise<AuditVerdict> {
    return this.#http.json({ method: "GET", path: "/v1/audit/verify" });
  }
}
