import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { IncomingMessage } from "node:http";
import { quickTransaction } from "./database.ts";

/** What Telegram said to a call that made a message. */
export interface SentAnswer {
  status: number;
  type: string;
  text: string;
}

/** A program that was cut off tries again within seconds; what comes later is meant. */
const repeatMs = 60_000;
/** The plugin of the bot gives up what it could not send for as long. */
const namedMs = 24 * 3_600_000;
const mostRows = 2000;
/** A connection that breaks this soon after an answer may have lost it on the way. */
export const doubtMs = 3000;

/** What the bot calls a message, so that it can be told when it comes again, however late. Null: it has no name. */
export function nameOf({ headers }: IncomingMessage): string | null {
  const id = headers["x-claw-send-id"];
  return typeof id === "string" && /^[\w-]{16,64}$/.test(id) ? `id:${id}` : null;
}

/** Answers to calls that made a message. They outlive the process. */
export class SentJournal {
  readonly #db: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #get: StatementSync;
  readonly #forget: StatementSync;
  readonly #prune: StatementSync;
  /** keys that the bot has heard of, and when; they go with a later write */
  readonly #heard = new Map<string, number>();

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#insert = db.prepare("INSERT OR REPLACE INTO sent (key, at, status, type, text) VALUES (?, ?, ?, ?, ?)");
    this.#get = db.prepare("SELECT status, type, text FROM sent WHERE key = ? AND at > ?");
    this.#forget = db.prepare("DELETE FROM sent WHERE key = ?");
    this.#prune = db.prepare(
      "DELETE FROM sent WHERE at <= iif(key LIKE 'id:%', ?, ?) OR key IN (SELECT key FROM sent ORDER BY at DESC LIMIT -1 OFFSET ?)",
    );
  }

  put(key: string, answer: SentAnswer): void {
    const now = Date.now();
    const sure = [...this.#heard].filter(([, at]) => at < now - doubtMs).map(([heard]) => heard);
    quickTransaction(this.#db, () => {
      for (const heard of sure) this.#forget.run(heard);
      this.#prune.run(now - namedMs, now - repeatMs, mostRows);
      this.#insert.run(key, now, answer.status, answer.type, answer.text);
    });
    for (const heard of [...sure, key]) this.#heard.delete(heard);
  }

  /** The answer to the call of that name, whether the bot has heard it or not. */
  named(name: string): SentAnswer | null {
    return this.#answer(name, namedMs);
  }

  /** The answer to the same call of a moment ago, unless the bot has heard it. */
  unheard(key: string): SentAnswer | null {
    return this.#heard.has(key) ? null : this.#answer(key, repeatMs);
  }

  #answer(key: string, withinMs: number): SentAnswer | null {
    const row = this.#get.get(key, Date.now() - withinMs);
    if (row === undefined) return null;
    return { status: Number(row["status"]), type: String(row["type"]), text: String(row["text"]) };
  }

  heard(key: string): void {
    this.#heard.set(key, Date.now());
  }

  /** It was thought to be heard, but its connection broke. What is older than {@link doubtMs} stays heard. */
  doubt(key: string): void {
    if ((this.#heard.get(key) ?? 0) > Date.now() - doubtMs) this.#heard.delete(key);
  }
}
