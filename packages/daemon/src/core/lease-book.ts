import { randomUUID } from "node:crypto";
import { MAX_LEASE_MS } from "@aegis/protocol/lease";
import type { AcquireLease, Lease } from "@aegis/protocol/lease";
import { AegisError } from "@aegis/protocol/errors";
import type { EventLog } from "./event-log.ts";
import type { LeaseRecord } from "./instance-record.ts";
import type { Store } from "./store.ts";

interface Held {
  record: LeaseRecord;
  release: () => void;
  timer: NodeJS.Timeout;
}

export interface LeaseBookDeps {
  store: Pick<Store, "insertLease" | "deleteLease">;
  events: EventLog;
  /** keeps the instance awake until the returned function is called */
  hold: () => () => void;
  /** a lease is a reason to be awake */
  wake: (reason: string) => void;
  warn: (message: string) => void;
}

const HOST = "host";
/** Nobody has more reasons than that, and each one costs a row and a timer. */
const MAX_LEASES = 64;

const toView = ({ id, reason, owner, expiresAt }: LeaseRecord): Lease => ({
  lease_id: id,
  reason,
  owner,
  expires_at: new Date(expiresAt).toISOString(),
});

/** The leases of one instance: reasons to stay awake, each with an end. */
export class LeaseBook {
  readonly #instanceId: string;
  readonly #deps: LeaseBookDeps;
  readonly #held = new Map<string, Held>();
  #closed = false;

  constructor(instanceId: string, records: LeaseRecord[], deps: LeaseBookDeps) {
    this.#instanceId = instanceId;
    this.#deps = deps;
    for (const record of records) this.#keep(record);
  }

  /**
   * @param owner the host, or the instance that asks for itself
   * @throws AegisError `invalid_request` for a lease that is too long, `quota_exceeded` for too many
   */
  acquire({ ttl_ms, reason }: AcquireLease, owner = HOST): Lease {
    if (this.#closed) throw new AegisError("instance_deleted", `${this.#instanceId} was deleted.`);
    refuseTooLong(ttl_ms);
    if (this.#held.size >= MAX_LEASES) {
      throw new AegisError(
        "quota_exceeded",
        `${this.#instanceId} holds ${MAX_LEASES} leases already. Release one, or wait until one expires.`,
      );
    }
    const record = { id: `lease-${randomUUID()}`, reason, owner, expiresAt: Date.now() + ttl_ms };
    this.#deps.store.insertLease(this.#instanceId, record);
    this.#keep(record);
    this.#deps.events.emit({ type: "lease.acquired", instance_id: this.#instanceId, lease_id: record.id, reason });
    this.#deps.wake(`lease ${reason}`);
    return toView(record);
  }

  /** @throws AegisError `lease_not_found` */
  release(leaseId: string, why: "released" | "expired" | "stopped" = "released"): void {
    const held = this.#held.get(leaseId);
    if (held === undefined) {
      throw new AegisError("lease_not_found", `No lease ${leaseId} here: it was released before or has expired.`);
    }
    clearTimeout(held.timer);
    this.#held.delete(leaseId);
    held.release();
    this.#forget(leaseId);
    this.#deps.events.emit({ type: "lease.released", instance_id: this.#instanceId, lease_id: leaseId, why });
  }

  /**
   * Releases a lease of this owner: the one that is named, or the newest.
   * @throws AegisError `lease_not_found`, also for a lease of somebody else
   */
  releaseOwn(owner: string, leaseId?: string): void {
    const own = this.#of(owner);
    const id = leaseId ?? own.at(-1);
    if (id === undefined) throw new AegisError("lease_not_found", "No keepalive is held, so there is none to release.");
    if (leaseId !== undefined && !own.includes(leaseId)) {
      throw new AegisError("lease_not_found", `No lease ${leaseId} of this instance's own: it may have expired.`);
    }
    this.release(id);
  }

  /** What asked for them is gone. */
  releaseAllOf(owner: string): void {
    for (const id of this.#of(owner)) this.release(id, "stopped");
  }

  /** Releases all of them; there will be no other. */
  close(): void {
    this.#closed = true;
    for (const id of this.#held.keys()) this.release(id, "stopped");
  }

  /** A lease that the disk does not let go of is over all the same; a later daemon finds it expired. */
  #forget(leaseId: string): void {
    try {
      this.#deps.store.deleteLease(leaseId);
    } catch (error) {
      this.#deps.warn(`the end of lease ${leaseId} could not be written down: ${String(error)}`);
    }
  }

  /** Stops the clocks and keeps the leases: the next daemon takes them up. */
  forget(): void {
    for (const { timer } of this.#held.values()) clearTimeout(timer);
  }

  list(): Lease[] {
    return [...this.#held.values()].map(({ record }) => toView(record));
  }

  #of(owner: string): string[] {
    return [...this.#held.values()].filter(({ record }) => record.owner === owner).map(({ record }) => record.id);
  }

  #keep(record: LeaseRecord): void {
    const timer = setTimeout(() => this.release(record.id, "expired"), Math.max(record.expiresAt - Date.now(), 0));
    timer.unref();
    this.#held.set(record.id, { record, release: this.#deps.hold(), timer });
  }
}

function refuseTooLong(ttlMs: number): void {
  if (ttlMs <= MAX_LEASE_MS) return;
  const hours = MAX_LEASE_MS / 3_600_000;
  throw new AegisError(
    "invalid_request",
    `A lease lasts ${hours} h (${MAX_LEASE_MS} ms) at most, not ${ttlMs} ms. Take another one before it ends.`,
  );
}
