import type { DatabaseSync, StatementSync } from "node:sqlite";
import { transaction } from "../database.ts";
import type { Settings } from "../settings.ts";
import { laneOf, type Update } from "./lane-of.ts";

/** Tombstones that are kept so that an update which Telegram sends twice is known. */
const rememberedUpdates = 1000;

export interface PendingUpdate {
  position: number;
  updateId: number;
  body: string;
}

/** Updates that the bot has not yet made durable itself, oldest first in each lane. */
export class UpdateQueue {
  readonly #db: DatabaseSync;
  readonly #settings: Settings;
  readonly #insert: StatementSync;
  readonly #head: StatementSync;
  readonly #lanes: StatementSync;
  readonly #settle: StatementSync;
  readonly #prune: StatementSync;
  readonly #count: StatementSync;

  constructor(db: DatabaseSync, settings: Settings) {
    this.#db = db;
    this.#settings = settings;
    this.#insert = db.prepare("INSERT OR IGNORE INTO incoming (update_id, lane, body) VALUES (?, ?, ?)");
    this.#head = db.prepare(
      "SELECT position, update_id, body FROM incoming WHERE state = 'pending' AND lane = ? ORDER BY position LIMIT 1",
    );
    this.#lanes = db.prepare(
      "SELECT lane FROM incoming WHERE state = 'pending' GROUP BY lane ORDER BY min(position) LIMIT 64",
    );
    this.#settle = db.prepare("UPDATE incoming SET state = ?, body = '' WHERE position = ?");
    this.#prune = db.prepare("DELETE FROM incoming WHERE state <> 'pending' AND position < ?");
    this.#count = db.prepare("SELECT count(*) AS n FROM incoming WHERE state = 'pending'");
  }

  /** Takes over a batch of Telegram's: `kept` and the new offset become durable together. A known update is ignored. */
  receive(kept: readonly Update[], offset: number): void {
    transaction(this.#db, () => {
      for (const update of kept) this.#insert.run(update.update_id, laneOf(update), JSON.stringify(update));
      this.#settings.set("offset", offset);
    });
  }

  /** Adds an update of our own; to be called inside a transaction. */
  append(payload: object): void {
    const update: Update = { update_id: this.#settings.nextId("last_update_id"), ...payload };
    this.#insert.run(update.update_id, laneOf(update), JSON.stringify(update));
  }

  /** Where Telegram is to go on, or 0 at the very first start. */
  get offset(): number {
    return this.#settings.number("offset") ?? 0;
  }

  get pending(): number {
    return Number(this.#count.get()?.["n"] ?? 0);
  }

  lanes(): string[] {
    return this.#lanes.all().map((row) => String(row["lane"]));
  }

  head(lane: string): PendingUpdate | null {
    const row = this.#head.get(lane);
    if (!row) return null;
    return { position: Number(row["position"]), updateId: Number(row["update_id"]), body: String(row["body"]) };
  }

  /** Ends an update: the bot has it, or will never take it. Its text is not kept. */
  settle(update: PendingUpdate, state: "accepted" | "refused"): void {
    this.#settle.run(state, update.position);
    this.#prune.run(update.position - rememberedUpdates);
  }
}
