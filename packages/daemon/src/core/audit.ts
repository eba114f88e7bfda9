import type { AuditAction, AuditActor, AuditDecision, AuditEntry, AuditVerdict } from "@aegis/protocol/audit";
import type { AuditHealth } from "@aegis/protocol/status";
import type { Instance } from "./instance.ts";

export type AuditRecord = Omit<AuditEntry, "seq" | "ts">;

/** Where everything that matters for security is told. Never throws, and waits for nobody. */
export interface Audit {
  record(entry: AuditRecord): void;
}

export interface AuditRead {
  /** entries after this number */
  sinceSeq: number;
  /** go on with new ones until the signal aborts */
  follow: boolean;
}

/** The entries on disk: appended, rotated, never changed. */
export interface AuditLog {
  /** Written when it returns; what the disk does not take waits, a bounded number of entries long. */
  append(entry: AuditRecord): void;
  /** Oldest first. Entries that are rotated away meanwhile are passed over. */
  read(query: AuditRead, signal: AbortSignal): AsyncIterable<AuditEntry>;
  /** Reads everything. */
  verify(): Promise<AuditVerdict>;
  health(): AuditHealth;
}

export interface AuditFilter {
  /** did it, or had it done to it: by id */
  instanceId?: string;
  action?: AuditAction;
  decision?: AuditDecision;
  /** RFC 3339; entries at or after it */
  since?: string;
}

export interface AuditQuery extends AuditRead, AuditFilter {
  /** of those that there are already only the newest so many */
  limit?: number;
}

export const instanceActor = ({ id, handle, boot }: Pick<Instance, "id" | "handle" | "boot">): AuditActor => ({
  kind: "instance",
  instance_id: id,
  handle,
  boot,
});

export async function* selectAudit(log: AuditLog, query: AuditQuery, signal: AbortSignal): AsyncGenerator<AuditEntry> {
  let seen = query.sinceSeq;
  if (query.limit !== undefined) {
    const newest: AuditEntry[] = [];
    for await (const entry of log.read({ sinceSeq: seen, follow: false }, signal)) {
      seen = entry.seq;
      if (!matches(entry, query)) continue;
      newest.push(entry);
      if (newest.length > query.limit) newest.shift();
    }
    yield* newest;
    if (!query.follow) return;
  }
  for await (const entry of log.read({ sinceSeq: seen, follow: query.follow }, signal))
    if (matches(entry, query)) yield entry;
}

function matches({ actor, target, action, decision, ts }: AuditEntry, filter: AuditFilter): boolean {
  const { instanceId } = filter;
  const concerns = target === instanceId || (actor.kind === "instance" && actor.instance_id === instanceId);
  return (
    (instanceId === undefined || concerns) &&
    (filter.action === undefined || action === filter.action) &&
    (filter.decision === undefined || decision === filter.decision) &&
    (filter.since === undefined || ts >= filter.since)
  );
}
