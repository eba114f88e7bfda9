import type { AegisEvent, EventBody } from "@aegis/protocol/event";
import type { PowerEntry } from "@aegis/protocol/instance";
import type { EndpointRecord, InstanceRecord, LeaseRecord, Observation } from "./instance-record.ts";

import type { TreeAmounts } from "./tree-budget.ts";

export interface StoredInstance {
  record: InstanceRecord;
  observation: Observation;
  endpoints: EndpointRecord[];
  leases: LeaseRecord[];
  /** oldest first */
  power: NumberedPowerEntry[];
}

/** `seq` grows by one for each entry of an instance. */
export type NumberedPowerEntry = PowerEntry & { seq: number };

/** `children` are those on the first level. */
export type UsedBelow = TreeAmounts & { children: number };

/** What survives the daemon. Every call is durable when it returns. @throws AegisError `disk_full` from every write */
export interface Store {
  /** all instances that are not deleted, oldest first */
  loadInstances(): StoredInstance[];
  /** true when there never was an instance in it */
  isNew(): boolean;
  /** the id of a deleted instance that had this id or (newest first) this handle; null when there never was one */
  findDeleted(idOrHandle: string): string | null;
  /** What exists below an instance, on all levels. Inside of a transaction it cannot change meanwhile. */
  usedBelow(instanceId: string): UsedBelow;
  insertInstance(record: InstanceRecord, observation: Observation): void;
  updateRecord(record: InstanceRecord): void;
  updateObservation(instanceId: string, observation: Observation): void;
  /** Leaves a tombstone, so that the id answers 410; removes endpoints and leases. What is on disk remains. */
  deleteInstance(instanceId: string): void;
  /** ids of deleted instances that still have something on disk */
  remains(): string[];
  forgetRemains(instanceId: string): void;

  insertEndpoint(instanceId: string, endpoint: EndpointRecord): void;
  deleteEndpoint(instanceId: string, guestPort: number): void;

  insertLease(instanceId: string, lease: LeaseRecord): void;
  deleteLease(leaseId: string): void;

  /** Takes the place of the entry with the same number, and of the one that was so many before. */
  putPower(instanceId: string, entry: NumberedPowerEntry): void;

  appendEvent(body: EventBody): AegisEvent;
  /** 0 before the first event */
  newestEventSeq(): number;
  /** events with `seq > sinceSeq`, oldest first, at most `limit` */
  eventsSince(sinceSeq: number, limit: number): AegisEvent[];

  /** All or nothing: an exception undoes what the body wrote. */
  transaction<T>(body: () => T): T;
  close(): void;
}
