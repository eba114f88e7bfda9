import type { DatabaseSync } from "node:sqlite";
import type { UsageRow, UsageStore } from "../core/usage-ledger.ts";
import { writing } from "./database.ts";

type StoredUsage = Pick<UsageRow, "own" | "tree" | "window">;

/** What instances used of their bindings, in the daemon's database. */
export class UsageTable implements UsageStore {
  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  load(): UsageRow[] {
    return this.#db
      .prepare(
        "SELECT instance_id, binding, used FROM binding_usage JOIN instance ON id = instance_id WHERE deleted_at IS NULL",
      )
      .all()
      .map((row) => {
        // what this table wrote itself
        const used = JSON.parse(String(row["used"])) as StoredUsage;
        return { instanceId: String(row["instance_id"]), binding: String(row["binding"]), ...used };
      });
  }

  save(rows: readonly UsageRow[]): void {
    const insert = this.#db.prepare(
      `INSERT INTO binding_usage (instance_id, binding, used)
       SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM instance WHERE id = ?1 AND deleted_at IS NULL)
       ON CONFLICT (instance_id, binding) DO UPDATE SET used = excluded.used`,
    );
    writing(() => {
      this.#db.exec("BEGIN IMMEDIATE");
      try {
        for (const { instanceId, binding, own, tree, window } of rows)
          insert.run(instanceId, binding, JSON.stringify({ own, tree, window } satisfies StoredUsage));
        this.#db.exec("COMMIT");
      } catch (error) {
        // SQLite has done so itself where the disk was full
        if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
        throw error;
      }
    });
  }
}
