import { expect, it, vi } from "vitest";
import type { InstanceRecord, Observation } from "../../src/core/instance-record.ts";
import { UsageLedger } from "../../src/core/usage-ledger.ts";
import { openDatabase } from "../../src/store/database.ts";
import { SqliteStore } from "../../src/store/sqlite-store.ts";
import { UsageTable } from "../../src/store/usage-table.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const instance = (id: string): InstanceRecord =>
  ({ id, handle: id, parentId: null, createdAt: "", spec: {}, grant: {}, enabled: true }) as unknown as InstanceRecord;

function opened(folder = temporaryFolder()) {
  const database = openDatabase(`${folder}/aegis.db`);
  const store = new SqliteStore(database);
  return { folder, store, ledger: new UsageLedger(new UsageTable(database), () => undefined) };
}

it("what was used is there for the next daemon, for each holder and for those above", () => {
  const { folder, store, ledger } = opened();
  for (const id of ["child", "parent"]) store.insertInstance(instance(id), {} as Observation);
  ledger.add(["child", "parent"], "llm", { requests: 2, input_tokens: 5 });
  ledger.add(["parent"], "llm", { requests: 1 });
  ledger.row("parent", "llm").window = { startedAt: 7, base: ledger.row("child", "llm").own };
  ledger.save();
  store.close();
  const next = opened(folder);
  expect(next.ledger.find("child", "llm")).toMatchObject({
    own: { requests: 2 },
    tree: { requests: 2, input_tokens: 5 },
  });
  expect(next.ledger.find("parent", "llm")).toMatchObject({
    own: { requests: 1, input_tokens: 0 },
    tree: { requests: 3, input_tokens: 5 },
    window: { startedAt: 7, base: { requests: 2 } },
  });
  next.store.close();
});

it("of a deleted instance nothing is left but what its parent has", () => {
  const { folder, store, ledger } = opened();
  for (const id of ["child", "parent"]) store.insertInstance(instance(id), {} as Observation);
  ledger.add(["child", "parent"], "llm", { requests: 2 });
  ledger.save();
  store.deleteInstance("child");
  ledger.forget("child");
  // a request that ended late
  ledger.add(["child", "parent"], "llm", { errors: 1 });
  ledger.save();
  store.close();
  const next = opened(folder);
  expect(next.ledger.find("child", "llm")).toBeUndefined();
  expect(next.ledger.find("parent", "llm")).toMatchObject({ tree: { requests: 2, errors: 1 } });
  next.store.close();
});

it("is written a little later, once for many uses, and again when the disk took it not", () => {
  vi.useFakeTimers();
  try {
    const saves: number[] = [];
    const warnings: string[] = [];
    let full = true;
    const save = (rows: readonly unknown[]) => {
      saves.push(rows.length);
      if (full) throw new Error("full");
    };
    const ledger = new UsageLedger({ load: () => [], save }, (warning) => warnings.push(warning));
    for (let i = 0; i < 1000; i++) ledger.add(["a"], "llm", { requests: 1 });
    expect(saves).toEqual([]);
    vi.advanceTimersByTime(2500);
    full = false;
    vi.advanceTimersByTime(2500);
    vi.advanceTimersByTime(60_000);
    expect(saves).toEqual([1, 1]);
    expect(warnings).toHaveLength(1);
  } finally {
    vi.useRealTimers();
  }
});
