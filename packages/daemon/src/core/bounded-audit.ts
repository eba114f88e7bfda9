import type { AuditDecision } from "@aegis/protocol/audit";
import type { Audit, AuditLog, AuditRecord } from "./audit.ts";

/** Entries that one actor may have at once, and how many more each second. */
interface Rate {
  burst: number;
  perSecond: number;
}

const ALLOWED: Rate = { burst: 600, perSecond: 2 };
/** A guest can have any number of things refused, and would like to wash other entries away with them. */
const REFUSED: Rate = { burst: 60, perSecond: 0.5 };
const SUMMARY_MS = 10_000;
const MAX_TEXT = 512;

interface Bucket {
  left: number;
  filledAt: number;
}

/**
 * Keeps a guest from flooding the audit log: what one instance does beyond a rate is counted, and told by one line for
 * each kind. What the local user does is always written.
 */
export class BoundedAudit implements Audit {
  readonly #log: Pick<AuditLog, "append">;
  readonly #buckets = new Map<string, Bucket>();
  readonly #heldBack = new Map<string, AuditRecord>();
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Pick<AuditLog, "append">) {
    this.#log = log;
  }

  record(entry: AuditRecord): void {
    const shown = shortened(entry);
    const who = floodKey(entry);
    if (who === null || this.#take(`${who} ${entry.decision}`, rateOf(entry.decision))) this.#log.append(shown);
    else this.#holdBack(`${who} ${entry.action} ${entry.decision}`, shown);
  }

  /** Writes what was held back. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const entry of this.#heldBack.values()) this.#log.append(entry);
    this.#heldBack.clear();
    this.#forgetQuiet();
  }

  #take(key: string, { burst, perSecond }: Rate): boolean {
    const now = Date.now();
    const bucket = this.#buckets.get(key) ?? { left: burst, filledAt: now };
    const left = Math.min(burst, bucket.left + (Math.max(now - bucket.filledAt, 0) / 1000) * perSecond);
    const taken = left >= 1;
    this.#buckets.set(key, { left: taken ? left - 1 : left, filledAt: now });
    return taken;
  }

  #holdBack(key: string, entry: AuditRecord): void {
    const more = (this.#heldBack.get(key)?.more ?? 0) + 1 + (entry.more ?? 0);
    this.#heldBack.set(key, { ...entry, more });
    this.#timer ??= setTimeout(() => this.flush(), SUMMARY_MS).unref();
  }

  /** A bucket that nobody has used for as long as it takes to fill is a full one. */
  #forgetQuiet(): void {
    const longest = Math.max(ALLOWED.burst / ALLOWED.perSecond, REFUSED.burst / REFUSED.perSecond) * 1000;
    for (const [key, { filledAt }] of this.#buckets) if (Date.now() - filledAt > longest) this.#buckets.delete(key);
  }
}

const rateOf = (decision: AuditDecision): Rate => (decision === "allowed" ? ALLOWED : REFUSED);

/** Whose entries are bounded together; null for entries that are not. */
function floodKey({ actor, decision }: AuditRecord): string | null {
  switch (actor.kind) {
    case "host":
      return null;
    case "instance":
      return actor.instance_id;
    case "daemon":
      return decision === "allowed" ? null : "daemon";
  }
}

/** Names and reasons may come from inside an instance. */
function shortened(entry: AuditRecord): AuditRecord {
  const { target, reason, detail } = entry;
  return {
    ...entry,
    target: cut(target),
    reason: reason === null ? null : cut(reason),
    ...(detail === undefined ? {} : { detail: cut(detail) }),
  };
}

const cut = (text: string): string => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}...` : text);
