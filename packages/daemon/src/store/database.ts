import { closeSync, fchmodSync, fchownSync, openSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { AegisError, messageOf } from "@aegis/protocol/errors";
import { addColumns, schema } from "./schema.ts";

const SQLITE_FULL = 13;
const SQLITE_READONLY = 8;
const SQLITE_IOERR = 10;
const SQLITE_BUSY = 5;

const errcode = (error: unknown): number | null =>
  error instanceof Error && "errcode" in error && typeof error.errcode === "number" ? error.errcode & 0xff : null;

/**
 * Opens the state of one home and locks it for as long as the process lives, however it ends. Commits survive a crash
 * of the daemon; after a loss of power the newest may be missing, never half there (WAL, synchronous=NORMAL).
 *
 * @throws AegisError `wrong_state` when another daemon holds the home, `internal` for a damaged file, `disk_full` or
 * `unavailable` where nothing can be written
 */
export function openDatabase(file: string, owner?: { uid: number; gid: number }): DatabaseSync {
  closeToOthers(file, owner);
  const db = new DatabaseSync(file);
  try {
    db.exec(
      "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;",
    );
    checkPages(db);
    db.exec(schema);
    addColumns(db);
  } catch (error) {
    db.close();
    if (errcode(error) === SQLITE_BUSY) {
      throw new AegisError(
        "wrong_state",
        `Another aegisd uses ${file}. Stop it with \`aegis down\`, or set AEGIS_HOME to a folder of its own.`,
      );
    }
    throw new AegisError(
      "internal",
      `The state file ${file} cannot be opened (${messageOf(error)}). Nothing was changed: restore it from a backup, or move it away to start empty.`,
      { cause: error },
    );
  }
  return db;
}

/** A file that has lost its end can look like a good one with fewer instances in it, and theirs would be removed. */
function checkPages(db: DatabaseSync): void {
  const found = db.prepare("PRAGMA quick_check(1)").get()?.["quick_check"];
  if (found !== "ok") throw new Error(String(found));
}

/** Specs may hold what is nobody else's business. SQLite gives the files beside the database the same mode. */
function closeToOthers(file: string, owner?: { uid: number; gid: number }): void {
  const fd = open(file);
  try {
    fchmodSync(fd, 0o600);
    if (owner !== undefined) fchownSync(fd, owner.uid, owner.gid);
  } finally {
    closeSync(fd);
  }
}

function open(file: string): number {
  try {
    return openSync(file, "a", 0o600);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : null;
    if (code === "ENOSPC" || code === "EDQUOT") throw diskFull(error);
    if (code === "EROFS") throw notWritable(`The file system that holds ${file} is read-only`, error);
    throw error;
  }
}

/** Runs a write and names the failures that a person can mend. */
export function writing<T>(write: () => T): T {
  try {
    return write();
  } catch (error) {
    const code = errcode(error);
    if (code === SQLITE_FULL) throw diskFull(error);
    if (code === SQLITE_READONLY || code === SQLITE_IOERR)
      throw notWritable("The disk that holds the daemon's state takes no writes", error);
    throw error;
  }
}

const diskFull = (cause: unknown): AegisError =>
  new AegisError("disk_full", "The disk is full, so nothing was changed. Free some space and try again.", { cause });

const notWritable = (what: string, cause: unknown): AegisError =>
  new AegisError(
    "unavailable",
    `${what}, so nothing was changed. Instances that run go on. Make it writable again, or set AEGIS_HOME to another disk.`,
    { cause },
  );
