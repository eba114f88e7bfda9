import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { toSpec } from "../../src/core/instance-spec.ts";
import type { InstanceRecord, Observation } from "../../src/core/instance-record.ts";
import { openDatabase } from "../../src/store/database.ts";
import { SqliteStore } from "../../src/store/sqlite-store.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const record = (id: string, handle = id): InstanceRecord => ({
  id,
  handle,
  parentId: null,
  createdAt: "2026-01-01T00:00:00.000Z",
  spec: toSpec({ command: ["true"] }, [], { imageRef: "image", driver: "fake" }),
  grant: { spawn: true },
  enabled: true,
});

const observation: Observation = {
  state: "stopped",
  boot: 3,
  imageDigest: null,
  lastActiveAt: "2026-01-01T00:00:00.000Z",
  stoppedAt: null,
  exitCode: 0,
  failure: null,
  wanted: "running",
  pausedAt: null,
  snapshot: false,
  beganAs: null,
  hostBoot: null,
  restartAt: null,
  agreed: null,
  wakeAt: null,
  bootAt: null,
  endsBelow: false,
};

function openStore(file = join(temporaryFolder(), "aegis.db")): {
  store: SqliteStore;
  file: string;
  close: () => void;
} {
  const store = new SqliteStore(openDatabase(file));
  let open = true;
  const close = () => {
    if (open) store.close();
    open = false;
  };
  onTestFinished(close);
  return { store, file, close };
}

describe("SqliteStore", () => {
  it("gives back after a restart what was put in", () => {
    const { store, file, close } = openStore();
    store.insertInstance(record("a"), observation);
    store.insertEndpoint("a", { guestPort: 80, publicPort: 4000, protocol: "http" });
    store.insertLease("a", { id: "l", reason: "build", owner: "host", expiresAt: 5 });
    store.putPower("a", { seq: 1, state: "running", since: "2026-01-01T00:00:00.000Z", reason: "created" });
    store.updateRecord({ ...record("a"), enabled: false });
    store.updateObservation("a", { ...observation, failure: "out of memory" });
    close();
    expect(openStore(file).store.loadInstances()).toEqual([
      {
        record: { ...record("a"), enabled: false },
        observation: { ...observation, failure: "out of memory" },
        endpoints: [{ guestPort: 80, publicPort: 4000, protocol: "http" }],
        leases: [{ id: "l", reason: "build", owner: "host", expiresAt: 5 }],
        power: [{ seq: 1, state: "running", since: "2026-01-01T00:00:00.000Z", reason: "created" }],
      },
    ]);
  });

  it("leaves a tombstone and frees handle and port", () => {
    const { store } = openStore();
    store.insertInstance(record("a", "web"), observation);
    store.insertEndpoint("a", { guestPort: 80, publicPort: 4000, protocol: "http" });
    store.deleteInstance("a");
    expect(store.loadInstances()).toEqual([]);
    expect(store.findDeleted("web")).toBe("a");
    expect(store.findDeleted("b")).toBeNull();
    store.insertInstance(record("b", "web"), observation);
    store.insertEndpoint("b", { guestPort: 80, publicPort: 4000, protocol: "http" });
    expect(store.loadInstances()).toHaveLength(1);
  });

  it("keeps the newest thousand tombstones and what still has remains, and nothing of what they were made with", () => {
    const { store, file, close } = openStore();
    for (let n = 0; n < 1100; n++) {
      store.insertInstance(record(`i${n}`), observation);
      store.deleteInstance(`i${n}`);
      if (n !== 0) store.forgetRemains(`i${n}`);
    }
    expect(store.findDeleted("i0")).toBe("i0");
    expect(store.findDeleted("i50")).toBeNull();
    expect(store.findDeleted("i1099")).toBe("i1099");
    close();
    const db = openDatabase(file);
    const count = (table: string) => db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"];
    expect([count("instance"), count("observation")]).toEqual([1001, 0]);
    expect(db.prepare("SELECT count(*) AS n FROM instance WHERE spec <> '{}'").get()).toEqual({ n: 0 });
    db.close();
  });

  it("undoes a transaction that fails", () => {
    const { store } = openStore();
    expect(() =>
      store.transaction(() => {
        store.insertInstance(record("a"), observation);
        throw new Error("no");
      }),
    ).toThrow("no");
    expect(store.loadInstances()).toEqual([]);
  });

  it("numbers events without gaps and pages through them", () => {
    const { store } = openStore();
    for (const name of ["a", "b", "c"]) store.appendEvent({ type: "secret.changed", name, action: "set" });
    expect(store.eventsSince(1, 1)).toMatchObject([{ seq: 2, name: "b" }]);
    expect(store.eventsSince(3, 10)).toEqual([]);
    expect(store.newestEventSeq()).toBe(3);
  });
});

describe("openDatabase", () => {
  it("says that a damaged file is damaged and leaves it alone", () => {
    const file = join(temporaryFolder(), "aegis.db");
    writeFileSync(file, "this is no database, and it is long enough to be looked at".repeat(100));
    expect(() => openDatabase(file)).toThrow(
      expect.objectContaining({ code: "internal", message: expect.stringContaining(file) }),
    );
  });

  it("keeps a second daemon out for as long as the first lives", () => {
    const { file, close } = openStore();
    expect(() => openDatabase(file)).toThrow(expect.objectContaining({ code: "wrong_state" }));
    close();
    openDatabase(file).close();
  });
});
