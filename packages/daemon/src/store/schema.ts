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
  expires_at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS event (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  ts TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS secret (
  name TEXT PRIMARY KEY,
  nonce BLOB NOT NULL,
  sealed BLOB NOT NULL
) STRICT;
`;
