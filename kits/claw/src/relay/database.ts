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
CREATE TABLE IF NOT EXISTS sent (
  key TEXT PRIMARY KEY,
  at INTEGER NOT NULL,
  status INTEGER NOT NULL,
  type TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;
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
    // EXCLUSIVE: a second relay must not deliver twice. NORMAL: what is written survives a kill of the relay.
    db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
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

/**
 * Runs `work` in one transaction: all of it is durable afterwards, also over a power cut, or none. What was confirmed to
 * Telegram is nowhere else. Not to be nested.
 */
export function transaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec("PRAGMA synchronous = FULL");
  try {
    return quickTransaction(db, work);
  } finally {
    db.exec("PRAGMA synchronous = NORMAL");
  }
}

/** All or nothing, and over a kill; a power cut may take it back. */
export function quickTransaction<T>(db: DatabaseSync, work: () => T): T {
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
