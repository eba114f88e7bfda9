import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { AegisError } from "@aegis/protocol/errors";

const schema = `
CREATE TABLE IF NOT EXISTS setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS incoming (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  update_id INTEGER NOT NULL UNIQUE,
  lane TEXT NOT NULL,
  body TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'accepted', 'refused'))
) STRICT;
CREATE INDEX IF NOT EXISTS incoming_pending ON incoming (lane, position) WHERE state = 'pending';
CREATE TABLE IF NOT EXISTS message (
  id INTEGER PRIMARY KEY,
  author TEXT NOT NULL CHECK (author IN ('user', 'bot')),
  date INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS file (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
`;

/**
 * Opens the relay's database, readable by its owner alone and by one relay at a time.
 * @throws AegisError `wrong_state` when another relay has it open
 */
export function openDatabase(stateDir: string): DatabaseSync {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const path = join(stateDir, "relay.sqlite");
  closeSync(openSync(path, "a", 0o600));
  const db = new DatabaseSync(path);
  try {
    // FULL: what was confirmed to Telegram must survive a power cut. EXCLUSIVE: a second relay must not deliver twice.
    db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    db.exec(schema);
    return db;
  } catch (cause) {
    db.close();
    if (!(cause instanceof Error && cause.message.includes("locked"))) throw cause;
    throw new AegisError(
      "wrong_state",
      `Another relay is using ${stateDir}, so this one cannot start. Stop it first, or give this one a state folder of its own.`,
      { cause },
    );
  }
}

/** Runs `work` in one transaction: all of it is durable afterwards, or none. Not to be nested. */
export function transaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    db.exec("COMMIT");
    return result;
  } catch (error) {
    db.exec("ROLLBACK");
    throw error;
  }
}
