import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import type { PreviewRecord, PreviewStore } from "../core/preview-record.ts";
import { writing } from "./database.ts";

const schema = `
CREATE TABLE IF NOT EXISTS preview (
  id TEXT PRIMARY KEY,
  token TEXT NOT NULL UNIQUE,
  instance_id TEXT NOT NULL,
  guest_port INTEGER NOT NULL,
  password_hash TEXT,
  one_time INTEGER NOT NULL,
  created_at TEXT NOT NULL,
  expires_at INTEGER,
  opened_at TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS preview_instance ON preview (instance_id);
CREATE TABLE IF NOT EXISTS public_url (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  url TEXT NOT NULL
) STRICT;
`;

type Row = Record<string, SQLOutputValue>;

const optional = (value: SQLOutputValue | undefined): string | null => (typeof value === "string" ? value : null);

const toRecord = (row: Row): PreviewRecord => ({
  id: String(row["id"]),
  token: String(row["token"]),
  instanceId: String(row["instance_id"]),
  guestPort: Number(row["guest_port"]),
  passwordHash: optional(row["password_hash"]),
  oneTime: row["one_time"] === 1,
  createdAt: String(row["created_at"]),
  expiresAt: row["expires_at"] === null ? null : Number(row["expires_at"]),
  openedAt: optional(row["opened_at"]),
});

/** Links to instances' sites. */
export class PreviewTable implements PreviewStore {
  readonly #db: DatabaseSync;

  /** Those of instances that nothing is known of any more are forgotten. */
  constructor(db: DatabaseSync) {
    this.#db = db;
    db.exec(schema);
    writing(() => db.exec("DELETE FROM preview WHERE instance_id NOT IN (SELECT id FROM instance)"));
  }

  insert(preview: PreviewRecord): void {
    const { id, token, instanceId, guestPort, passwordHash, oneTime, createdAt, expiresAt, openedAt } = preview;
    const values = [id, token, instanceId, guestPort, passwordHash, Number(oneTime), createdAt, expiresAt, openedAt];
    this.#run("INSERT INTO preview VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", ...values);
  }

  byToken(token: string): PreviewRecord | null {
    const row = this.#db.prepare("SELECT * FROM preview WHERE token = ?").get(token);
    return row === undefined ? null : toRecord(row);
  }

  ofInstance(instanceId: string): PreviewRecord[] {
    const sql = "SELECT * FROM preview WHERE instance_id = ? ORDER BY created_at, rowid";
    return this.#db.prepare(sql).all(instanceId).map(toRecord);
  }

  markOpened(id: string, at: string): boolean {
    return this.#run("UPDATE preview SET opened_at = ? WHERE id = ? AND opened_at IS NULL", at, id) === 1;
  }

  remove(id: string): void {
    this.#run("DELETE FROM preview WHERE id = ?", id);
  }

  publicUrl(): string | null {
    return optional(this.#db.prepare("SELECT url FROM public_url").get()?.["url"]);
  }

  setPublicUrl(url: string | null): void {
    if (url === null) this.#run("DELETE FROM public_url");
    else this.#run("INSERT OR REPLACE INTO public_url VALUES (1, ?)", url);
  }

  /** @returns how many rows it changed */
  #run(sql: string, ...values: (string | number | null)[]): number {
    return writing(() => Number(this.#db.prepare(sql).run(...values).changes));
  }
}
