import type { DatabaseSync } from "node:sqlite";
import type { AegisEvent, EventBody } from "@aegis/protocol/event";
import type { EndpointRecord, InstanceRecord, LeaseRecord, Observation } from "../core/instance-record.ts";
import { DEFAULT_DISK_MB } from "../core/instance-spec.ts";
import { KEPT_POWER } from "../core/power-history.ts";
import type { NumberedPowerEntry, Store, StoredInstance, UsedBelow } from "../core/store.ts";
import { writing } from "./database.ts";
import { json, type Row, text, toEndpoint, toLease, toObservation, toPower, toRecord } from "./stored-rows.ts";

/** Older events are forgotten. */
const KEPT_EVENTS = 20_000;
/** Of so many deleted instances it is still known that there was such a one. */
const KEPT_TOMBSTONES = 1000;

export class SqliteStore implements Store {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, ReturnType<DatabaseSync["prepare"]>>();
  #inTransaction = false;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  loadInstances(): StoredInstance[] {
    const rows = this.#all(
      `SELECT instance.*, observation.body FROM instance JOIN observation ON instance_id = id
       WHERE deleted_at IS NULL ORDER BY created_at, instance.rowid`,
    );
    return rows.map((row) => ({
      record: toRecord(row),
      observation: toObservation(row),
      endpoints: this.#all("SELECT * FROM endpoint WHERE instance_id = ?", text(row, "id")).map(toEndpoint),
      leases: this.#all("SELECT * FROM lease WHERE instance_id = ?", text(row, "id")).map(toLease),
      power: this.#all("SELECT * FROM power WHERE instance_id = ? ORDER BY seq", text(row, "id")).map(toPower),
    }));
  }

  isNew(): boolean {
    return this.#all("SELECT 1 FROM instance LIMIT 1").length === 0;
  }

  findDeleted(idOrHandle: string): string | null {
    const [row] = this.#all(
      "SELECT id FROM instance WHERE deleted_at IS NOT NULL AND (id = ?1 OR handle = ?1) ORDER BY deleted_at DESC LIMIT 1",
      idOrHandle,
    );
    return row === undefined ? null : text(row, "id");
  }

  /** Through deleted ones too: what is below them is not gone yet. */
  usedBelow(instanceId: string): UsedBelow {
    const [row = {}] = this.#all(
      `WITH RECURSIVE below(id) AS (
         SELECT id FROM instance WHERE parent_id = ?1
         UNION ALL SELECT child.id FROM instance child JOIN below ON child.parent_id = below.id)
       SELECT count(*) AS instances, coalesce(sum(parent_id = ?1), 0) AS children,
         coalesce(sum(spec ->> 'memory_mb'), 0) AS memory_mb, coalesce(sum(spec ->> 'vcpus'), 0) AS vcpus,
         coalesce(sum(coalesce(spec ->> 'disk_mb', ?2)), 0) AS disk_mb
       FROM instance JOIN below USING (id) WHERE deleted_at IS NULL`,
      instanceId,
      DEFAULT_DISK_MB,
    );
    const amount = (column: string): number => Number(row[column]);
    return {
      children: amount("children"),
      instances: amount("instances"),
      memory_mb: amount("memory_mb"),
      vcpus: amount("vcpus"),
      disk_mb: amount("disk_mb"),
    };
  }

  insertInstance(record: InstanceRecord, observation: Observation): void {
    this.transaction(() => {
      const { id, handle, parentId, createdAt, enabled } = record;
      this.#run(
        "INSERT INTO instance (id, handle, parent_id, created_at, enabled, spec, grants) VALUES (?, ?, ?, ?, ?, ?, ?)",

        id,
        handle,
        parentId,
        createdAt,
        Number(enabled),
        JSON.stringify(record.spec),
        JSON.stringify(record.grant),
      );
      this.#run("INSERT INTO observation (instance_id, body) VALUES (?, ?)", id, JSON.stringify(observation));
    });
  }

  updateRecord({ id, enabled, spec, grant }: InstanceRecord): void {
    this.#run(
      "UPDATE instance SET enabled = ?, spec = ?, grants = ? WHERE id = ?",
      Number(enabled),
      JSON.stringify(spec),
      JSON.stringify(grant),
      id,
    );
  }

  updateObservation(instanceId: string, observation: Observation): void {
    this.#run("UPDATE observation SET body = ? WHERE instance_id = ?", JSON.stringify(observation), instanceId);
  }

  deleteInstance(instanceId: string): void {
    this.transaction(() => {
      this.#run("DELETE FROM endpoint WHERE instance_id = ?", instanceId);
      this.#run("DELETE FROM lease WHERE instance_id = ?", instanceId);
      this.#run("DELETE FROM power WHERE instance_id = ?", instanceId);
      this.#run("DELETE FROM binding_usage WHERE instance_id = ?", instanceId);
      this.#run("DELETE FROM observation WHERE instance_id = ?", instanceId);
      // what it was made with may hold what nobody should find later
      this.#run(
        "UPDATE instance SET deleted_at = ?, spec = '{}', grants = '{}' WHERE id = ?",
        new Date().toISOString(),
        instanceId,
      );
      this.#run("INSERT OR IGNORE INTO remains (instance_id) VALUES (?)", instanceId);
      this.#forgetOldTombstones();
    });
  }

  /** One that still has something on disk stays until that is gone. */
  #forgetOldTombstones(): void {
    this.#run(
      `DELETE FROM instance WHERE id IN (
         SELECT id FROM instance WHERE deleted_at IS NOT NULL ORDER BY deleted_at DESC, rowid DESC LIMIT -1 OFFSET ?
       ) AND id NOT IN (SELECT instance_id FROM remains)`,
      KEPT_TOMBSTONES,
    );
  }

  remains(): string[] {
    return this.#all("SELECT instance_id FROM remains").map((row) => text(row, "instance_id"));
  }

  forgetRemains(instanceId: string): void {
    this.#run("DELETE FROM remains WHERE instance_id = ?", instanceId);
  }

  insertEndpoint(instanceId: string, { guestPort, publicPort, protocol }: EndpointRecord): void {
    this.#run(
      "INSERT INTO endpoint (public_port, instance_id, guest_port, protocol) VALUES (?, ?, ?, ?)",
      publicPort,
      instanceId,
      guestPort,
      protocol,
    );
  }

  deleteEndpoint(instanceId: string, guestPort: number): void {
    this.#run("DELETE FROM endpoint WHERE instance_id = ? AND guest_port = ?", instanceId, guestPort);
  }

  insertLease(instanceId: string, { id, reason, owner, expiresAt }: LeaseRecord): void {
    this.#run(
      "INSERT INTO lease (id, instance_id, reason, owner, expires_at) VALUES (?, ?, ?, ?, ?)",
      id,
      instanceId,
      reason,
      owner,
      expiresAt,
    );
  }

  deleteLease(leaseId: string): void {
    this.#run("DELETE FROM lease WHERE id = ?", leaseId);
  }

  putPower(instanceId: string, { seq, since, state, reason }: NumberedPowerEntry): void {
    this.#run(
      "INSERT OR REPLACE INTO power (instance_id, slot, seq, since, state, reason) VALUES (?, ?, ?, ?, ?, ?)",
      instanceId,
      seq % KEPT_POWER,
      seq,
      since,
      state,
      reason,
    );
  }

  appendEvent(body: EventBody): AegisEvent {
    const ts = new Date().toISOString();
    const seq = this.#run("INSERT INTO event (ts, body) VALUES (?, ?)", ts, JSON.stringify(body));
    if (seq % 1000 === 0) this.#run("DELETE FROM event WHERE seq <= ?", seq - KEPT_EVENTS);
    return { ...body, seq, ts };
  }

  newestEventSeq(): number {
    return Number(this.#all("SELECT coalesce(max(seq), 0) AS seq FROM event")[0]?.["seq"]);
  }

  eventsSince(sinceSeq: number, limit: number): AegisEvent[] {
    return this.#all("SELECT * FROM event WHERE seq > ? ORDER BY seq LIMIT ?", sinceSeq, limit).map((row) => ({
      ...(json(row, "body") as EventBody),
      seq: Number(row["seq"]),
      ts: text(row, "ts"),
    }));
  }

  transaction<T>(body: () => T): T {
    if (this.#inTransaction) return body();
    this.#inTransaction = true;
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const result = body();
      writing(() => this.#db.exec("COMMIT"));
      return result;
    } catch (error) {
      // SQLite has done so itself where the disk was full
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    } finally {
      this.#inTransaction = false;
    }
  }

  close(): void {
    this.#db.close();
  }

  #prepare(sql: string): ReturnType<DatabaseSync["prepare"]> {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#db.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  #all(sql: string, ...values: (string | number)[]): Row[] {
    return this.#prepare(sql).all(...values);
  }

  /** @returns the row id of an insert */
  #run(sql: string, ...values: (string | number | null)[]): number {
    return writing(() => Number(this.#prepare(sql).run(...values).lastInsertRowid));
  }
}
