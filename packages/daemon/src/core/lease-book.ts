import { randomUUID } from "node:crypto";
import type { AcquireLease, Lease } from "@aegis/protocol/instance";
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
}

const toView = ({ id, reason, expiresAt }: LeaseRecord): Lease => ({
  lease_id: id,
  reason,
  expires_at: new Date(expiresAt).toISOString(),
});

/** The leases of one instance: reasons to stay awake, each with an end. */
export class LeaseBook {
  readonly #instanceId: string;
  readonly #deps: LeaseBookDeps;
  readonly #held = new Map<string, Held>();

  constructor(instanceId: string, records: LeaseRecord[], deps: LeaseBookDeps) {
    this.#instanceId = instanceId;
    this.#deps = deps;
    for (const record of records) this.#keep(record);
  }

  acquire({ ttl_ms, reason }: AcquireLease): Lease {
    const record = { id: `lease-${randomUUID()}`, reason, expiresAt: Date.now() + ttl_ms };
    this.#deps.store.insertLease(this.#instanceId, record);
    this.#keep(record);
    this.#deps.events.emit({ type: "lease.acquired", instance_id: this.#instanceId, lease_id: record.id, reason });
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
    this.#deps.store.deleteLease(leaseId);
    held.release();
    this.#deps.events.emit({ type: "lease.released", instance_id: this.#instanceId, lease_id: leaseId, why });
  }

  releaseAll(): void {
    for (const id of this.#held.keys()) this.release(id, "stopped");
  }

  /** Stops the clocks and keeps the leases: the next daemon takes them up. */
  forget(): void {
    for (const { timer } of this.#held.values()) clearTimeout(timer);
  }

  list(): Lease[] {
    return [...this.#held.values()].map(({ record }) => toView(record));
  }

  #keep(record: LeaseRecord): void {
    const timer = setTimeout(() => this.release(record.id, "expired"), Math.max(record.expiresAt - Date.now(), 0));
    timer.unref();
    this.#held.set(record.id, { record, release: this.#deps.hold(), timer });
  }
}
