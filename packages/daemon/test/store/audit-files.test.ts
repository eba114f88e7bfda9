import { appendFileSync, readFileSync, readdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { AuditEntry } from "@aegis/protocol/audit";
import { selectAudit } from "../../src/core/audit.ts";
import type { AuditQuery, AuditRecord } from "../../src/core/audit.ts";
import { AuditFiles } from "../../src/store/audit-files.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

function openLog(folder: string, more: { fileBytes?: number; keptFiles?: number } = {}) {
  const warnings: string[] = [];
  const log = new AuditFiles({ folder, owner, warn: (message) => void warnings.push(message), ...more });
  onTestFinished(() => log.close());
  return Object.assign(log, { warnings });
}

const entry = (target: string, more: Partial<AuditRecord> = {}): AuditRecord => ({
  actor: { kind: "host", uid: 1000 },
  action: "instance.stop",
  target,
  decision: "allowed",
  reason: null,
  ...more,
});

async function read(log: AuditFiles, query: Partial<AuditQuery> = {}): Promise<AuditEntry[]> {
  const never = new AbortController().signal;
  return Array.fromAsync(selectAudit(log, { sinceSeq: 0, follow: false, ...query }, never));
}

const targets = (entries: AuditEntry[]) => entries.map(({ target }) => target);
const newestFile = (folder: string) => join(folder, readdirSync(folder).toSorted().at(-1) ?? "");

describe("the audit log", () => {
  it("numbers entries, goes on after a restart and is closed to others", async () => {
    const folder = join(temporaryFolder(), "audit");
    const first = openLog(folder);
    first.append(entry("a"));
    first.close();
    const second = openLog(folder);
    second.append(entry("b"));
    expect((await read(second)).map(({ seq, target }) => [seq, target])).toEqual([
      [1, "a"],
      [2, "b"],
    ]);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(newestFile(folder)).mode & 0o777).toBe(0o600);
    expect(await second.verify()).toEqual({ entries: 2, files: 1, first_seq: 1, last_seq: 2, broken: null });
  });

  it("has an entry on disk when append returns", () => {
    const folder = temporaryFolder();
    openLog(folder).append(entry("a"));
    expect(readFileSync(newestFile(folder), "utf8")).toContain('"target":"a"');
  });

  it("leaves out half an entry at the end, and the chain holds", async () => {
    const folder = temporaryFolder();
    const first = openLog(folder);
    first.append(entry("a"));
    first.append(entry("torn"));
    first.close();
    truncateSync(newestFile(folder), statSync(newestFile(folder)).size - 7);
    const second = openLog(folder);
    second.append(entry("b"));
    expect(targets(await read(second))).toEqual(["a", "b"]);
    expect(second.warnings.join()).toContain("cut short");
    expect((await second.verify()).broken).toBeNull();
  });

  it("rotates, keeps a bounded number of files, and the chain runs through them", async () => {
    const folder = temporaryFolder();
    const log = openLog(folder, { fileBytes: 2000, keptFiles: 3 });
    for (let i = 1; i <= 100; i += 1) log.append(entry(`t${i}`));
    expect(readdirSync(folder)).toHaveLength(3);
    const kept = await read(log);
    expect(kept.at(-1)?.seq).toBe(100);
    expect(kept[0]?.seq).toBeGreaterThan(1);
    const verdict = await log.verify();
    expect(verdict).toMatchObject({ broken: null, last_seq: 100, entries: kept.length, files: 3 });
    log.close();
    const next = openLog(folder, { fileBytes: 2000, keptFiles: 3 });
    next.append(entry("after"));
    expect((await read(next, { sinceSeq: 100 })).map(({ seq }) => seq)).toEqual([101]);
    expect((await next.verify()).broken).toBeNull();
  });

  it.each([
    ["a changed line", (text: string) => text.replace('"target":"t3"', '"target":"t9"'), "entry 3 was changed"],
    ["a removed line", (text: string) => text.replace(/^.*"t3".*\n/m, ""), "entry 3 is missing"],
    ["a spoilt line", (text: string) => text.replace(/^.*"t3".*$/m, "garbage"), "after entry 2"],
    ["lines removed from the end", (text: string) => text.replace(/^.*"t5"[\s\S]*/m, ""), "ends with entry 4"],
    ["a changed last line", (text: string) => text.replace('"target":"t6"', '"target":"t9"'), "entry 6 is not"],
  ])("notices %s", async (_what, spoil, complaint) => {
    const folder = temporaryFolder();
    const log = openLog(folder);
    for (let i = 1; i <= 6; i += 1) log.append(entry(`t${i}`));
    expect((await log.verify()).broken).toBeNull();
    const file = newestFile(folder);
    writeFileSync(file, spoil(readFileSync(file, "utf8")));
    expect((await log.verify()).broken).toContain(complaint);
  });

  it("goes on behind a line that something else has spoilt", async () => {
    const folder = temporaryFolder();
    const log = openLog(folder);
    log.append(entry("a"));
    log.close();
    appendFileSync(newestFile(folder), "garbage\n");
    const next = openLog(folder);
    next.append(entry("b"));
    expect((await read(next)).map(({ seq, target }) => [seq, target])).toEqual([
      [1, "a"],
      [3, "b"],
    ]);
    expect((await next.verify()).broken).toContain("no entry");
  });

  it("filters, takes the newest, and follows across a rotation", async () => {
    const folder = temporaryFolder();
    const log = openLog(folder, { fileBytes: 1500 });
    const bot = { kind: "instance", instance_id: "inst-b", handle: "bot", boot: 2 } as const;
    log.append(entry("inst-b"));
    log.append(entry("inst-c", { actor: bot, decision: "refused", reason: "no" }));
    log.append(entry("inst-d", { action: "instance.exec" }));
    expect(targets(await read(log, { instanceId: "inst-b" }))).toEqual(["inst-b", "inst-c"]);
    expect(targets(await read(log, { decision: "refused" }))).toEqual(["inst-c"]);
    expect(targets(await read(log, { action: "instance.exec" }))).toEqual(["inst-d"]);
    expect(targets(await read(log, { limit: 2 }))).toEqual(["inst-c", "inst-d"]);
    expect(targets(await read(log, { since: "2999-01-01T00:00:00.000Z" }))).toEqual([]);

    const gone = new AbortController();
    const seen: string[] = [];
    const reading = (async () => {
      for await (const { target } of selectAudit(log, { sinceSeq: 0, follow: true, limit: 1 }, gone.signal)) {
        seen.push(target);
        if (target === "inst-d") for (let i = 0; i < 40; i += 1) log.append(entry(`t${i}`));
        if (target === "t39") gone.abort();
      }
    })();
    await reading;
    expect(seen).toEqual(["inst-d", ...Array.from({ length: 40 }, (_, i) => `t${i}`)]);
    expect(readdirSync(folder).length).toBeGreaterThan(1);
  });

  it("waits for a disk that takes nothing, says so once, and loses only what is beyond its bound", async () => {
    const folder = join(temporaryFolder(), "audit");
    writeFileSync(folder, "in the way");
    const log = openLog(folder);
    for (let i = 1; i <= 1005; i += 1) log.append(entry(`t${i}`));
    expect(log.health()).toMatchObject({ last_seq: 0, lost: 5, problem: expect.stringContaining("cannot be written") });
    expect(log.warnings).toHaveLength(1);
  });
});
