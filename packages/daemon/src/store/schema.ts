import type { DatabaseSync } from "node:sqlite";

/** What the daemon wants (`instance`) and what it last saw (`observation`) are separate rows. */
export const schema = `
CREATE TABLE IF NOT EXISTS instance (
  id TEXT PRIMARY KEY,
  handle TEXT NOT NULL,
  parent_id TEXT,
  created_at TEXT NOT NULL,
  enabled INTEGER NOT NULL,
  spec TEXT NOT NULL,
  grants TEXT NOT NULL,
  deleted_at TEXT
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS instance_handle ON instance (handle) WHERE deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS instance_deleted ON instance (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS instance_parent ON instance (parent_id);
CREATE TABLE IF NOT EXISTS observation (
  instance_id TEXT PRIMARY KEY REFERENCES instance (id),
  body TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS endpoint (
  public_port INTEGER PRIMARY KEY,
  instance_id TEXT NOT NULL REFERENCES instance (id),
  guest_port INTEGER NOT NULL,
  protocol TEXT NOT NULL,
  UNIQUE (instance_id, guest_port)
) STRICT;
CREATE TABLE IF NOT EXISTS lease (
  id TEXT PRIMARY KEY,
  instance_id TEXT NOT NULL REFERENCES instance (id),
  reason TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  owner TEXT NOT NULL DEFAULT 'host'
) STRICT;
CREATE TABLE IF NOT EXISTS power (
  instance_id TEXT NOT NULL REFERENCES instance (id),
  slot INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  since TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (instance_id, slot)
) STRICT;
CREATE TABLE IF NOT EXISTS binding_usage (
  instance_id TEXT NOT NULL REFERENCES instance (id),
  binding TEXT NOT NULL,
  used TEXT NOT NULL,
  PRIMARY KEY (instance_id, binding)
) STRICT;
CREATE TABLE IF NOT EXISTS remains (
  instance_id TEXT PRIMARY KEY REFERENCES instance (id)
) STRICT;
CREATE TABLE IF NOT EXISTS event (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  ts TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS master_key (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  fingerprint TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS secret (
  name TEXT PRIMARY KEY,
  nonce BLOB NOT NULL,
  sealed BLOB NOT NULL
) STRICT;
`;

/** Gives tables of an older daemon the columns that they lack, and drops the rows that it need not have kept. */
export function addColumns(db: DatabaseSync): void {
  const owner = db.prepare("SELECT 1 FROM pragma_table_info('lease') WHERE name = 'owner'").get();
  if (owner === undefined) db.exec("ALTER TABLE lease ADD COLUMN owner TEXT NOT NULL DEFAULT 'host'");
  db.exec("DELETE FROM observation WHERE instance_id IN (SELECT id FROM instance WHERE deleted_at IS NOT NULL)");
}
