import type { DatabaseSync, StatementSync } from "node:sqlite";
import { transaction } from "../database.ts";
import type { Settings } from "../settings.ts";
import { parseJson } from "../json-value.ts";
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
  readonly #behind: StatementSync;
  readonly #lanes: StatementSync;
  readonly #settle: StatementSync;
  readonly #prune: StatementSync;
  readonly #count: StatementSync;
  readonly #batch: StatementSync;
  readonly #settleBelow: StatementSync;

  constructor(db: DatabaseSync, settings: Settings) {
    this.#db = db;
    this.#settings = settings;
    this.#insert = db.prepare("INSERT OR IGNORE INTO incoming (update_id, lane, body) VALUES (?, ?, ?)");
    this.#head = db.prepare(
      "SELECT position, update_id, body FROM incoming WHERE state = 'pending' AND lane = ? ORDER BY position LIMIT 1",
    );
    this.#behind = db.prepare(
      `SELECT position, update_id, body FROM incoming WHERE state = 'pending' AND position > ?1
       AND lane = (SELECT lane FROM incoming WHERE position = ?1) ORDER BY position LIMIT 1`,
    );
    this.#lanes = db.prepare(
      "SELECT lane FROM incoming WHERE state = 'pending' GROUP BY lane ORDER BY min(position) LIMIT 64",
    );
    this.#settle = db.prepare("UPDATE incoming SET state = ?, body = '' WHERE position = ?");
    this.#prune = db.prepare("DELETE FROM incoming WHERE state <> 'pending' AND position < ?");
    this.#batch = db.prepare("SELECT position, body FROM incoming WHERE state = 'pending' ORDER BY position LIMIT ?");
    this.#settleBelow = db.prepare(
      "UPDATE incoming SET state = 'accepted', body = '' WHERE state = 'pending' AND position <= ? AND update_id < ?",
    );
    this.#count = db.prepare("SELECT count(*) AS n FROM incoming WHERE state = 'pending'");
  }

  /**
   * Takes over a batch of Telegram's: `kept` and the new offset become durable together. A known update is ignored.
   * @param offset null: they did not come by polling
   */
  receive(kept: readonly Update[], offset: number | null): void {
    transaction(this.#db, () => {
      for (const update of kept) this.#insert.run(update.update_id, laneOf(update), JSON.stringify(update));
      if (offset !== null) this.#settings.set("offset", offset);
    });
  }

  /** The bot has confirmed everything below the offset to Telegram itself. */
  raiseOffset(offset: number): void {
    if (offset > this.offset) this.#settings.set("offset", offset);
  }

  /**
   * What is here belongs to this bot from now on. With another token than before, what came for the bot of that one is
   * dropped: nobody can answer it, and its ids would hide updates of the new one.
   * @returns how many updates were dropped that nobody had got
   */
  belongTo(botId: string): number {
    const before = this.#settings.text("bot_id");
    if (before === botId) return 0;
    const dropped = before === null ? 0 : this.pending;
    transaction(this.#db, () => {
      if (before !== null) {
        this.#db.exec("DELETE FROM incoming");
        this.#settings.set("offset", 0);
      }
      this.#settings.set("bot_id", botId);
    });
    return dropped;
  }

  /** The oldest updates that the bot has not got, of all lanes. */
  batch(limit: number): { last: number; updates: unknown[] } | null {
    const rows = this.#batch.all(limit);
    const last = rows.at(-1);
    if (last === undefined) return null;
    return { last: Number(last["position"]), updates: rows.map((row) => parseJson(String(row["body"]))) };
  }

  /** The bot polls past these: it has them. */
  settleBelow(position: number, offset: number): void {
    this.#settleBelow.run(position, offset);
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
    return pendingOf(this.#head.get(lane));
  }

  /** The next one of the same lane. */
  behind({ position }: PendingUpdate): PendingUpdate | null {
    return pendingOf(this.#behind.get(position));
  }

  /** Ends an update: the bot has it, or will never take it. Its text is not kept. */
  settle(update: PendingUpdate, state: "accepted" | "refused"): void {
    this.#settle.run(state, update.position);
    this.#prune.run(update.position - rememberedUpdates);
  }
}

function pendingOf(row: Record<string, unknown> | undefined): PendingUpdate | null {
  if (row === undefined) return null;
  return { position: Number(row["position"]), updateId: Number(row["update_id"]), body: String(row["body"]) };
}
