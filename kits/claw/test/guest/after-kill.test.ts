import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, it } from "vitest";
import { tidyAfterKill } from "../../guest/bot/after-kill.ts";
import { openclawDatabase } from "../../guest/bot/paths.ts";

let state: string;

beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), "after-kill-"));
  mkdirSync(dirname(openclawDatabase(state)));
});

afterEach(() => rmSync(state, { recursive: true }));

function withDatabase<T>(work: (db: DatabaseSync) => T): T {
  const db = new DatabaseSync(openclawDatabase(state));
  try {
    return work(db);
  } finally {
    db.close();
  }
}

const BOOTS = "CREATE TABLE gateway_boot_lifecycle (boot_id TEXT, outcome TEXT, completed_at_ms INTEGER);";
const DELIVERIES = "CREATE TABLE delivery_queue_entries (id TEXT, queue_name TEXT, status TEXT);";

it("boots that were killed count as stopped; those that failed, or ended, stay what they are", () => {
  withDatabase((db) =>
    db.exec(`${BOOTS} ${DELIVERIES} INSERT INTO gateway_boot_lifecycle
      VALUES ('killed', NULL, NULL), ('failed', 'startup_failed', 1), ('ended', 'clean_stop', 2)`),
  );
  expect(tidyAfterKill(state)).toBeNull();
  const rows = withDatabase((db) => db.prepare("SELECT * FROM gateway_boot_lifecycle").all());
  expect(rows).toMatchObject([
    { boot_id: "killed", outcome: "forced_stop" },
    { boot_id: "failed", outcome: "startup_failed", completed_at_ms: 1 },
    { boot_id: "ended", outcome: "clean_stop", completed_at_ms: 2 },
  ]);
  expect(Number(rows[0]?.["completed_at_ms"])).toBeGreaterThan(Date.now() - 60_000);
});

it("an answer that was being made ready is nobody's any more; what was ready stays", () => {
  withDatabase((db) =>
    db.exec(`${BOOTS} ${DELIVERIES} INSERT INTO delivery_queue_entries VALUES ('half', 'outbound-preparing-v1', 'pending'),
      ('failed', 'outbound-preparing-v1', 'failed'), ('ready', 'outbound-prepared-v1', 'pending')`),
  );
  expect(tidyAfterKill(state)).toBeNull();
  const left = withDatabase((db) => db.prepare("SELECT id FROM delivery_queue_entries").all());
  expect(left.map(({ id }) => id)).toEqual(["failed", "ready"]);
});

it("a bot that has never run has nothing of it, and an OpenClaw with another database is started all the same", () => {
  expect(tidyAfterKill(state)).toBeNull();
  withDatabase((db) => db.exec("CREATE TABLE another (id TEXT)"));
  expect(tidyAfterKill(state)).toMatch(/may not get over a kill.*no such table/);
});
