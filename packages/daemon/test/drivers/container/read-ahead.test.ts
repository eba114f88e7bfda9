import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { READ_AHEAD_SCRIPT } from "../../../src/drivers/container/read-ahead-script.ts";
import { temporaryFolder } from "../../temporary-folder.ts";

const MB = 1024 * 1024;
const HELD_MB = 64;
const HOLDER = `const held = Buffer.alloc(${HELD_MB * MB}, 1); process.stdout.write("ready"); setInterval(() => held, 1000)`;
const [major = 0, minor = 0] = release().split(".").map(Number);
/** only then the kernel tells what of a process is there */
const TELLS = major > 6 || (major === 6 && minor >= 7);

/** A process that holds memory. */
async function holder(): Promise<number> {
  const child = spawn(process.execPath, ["-e", HOLDER], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  return child.pid ?? 0;
}

const run = (...words: (string | number)[]) =>
  execFileSync("/usr/bin/perl", ["-e", READ_AHEAD_SCRIPT, ...words.map(String)], { encoding: "utf8" });

/** @returns what is noted of each process: when it was started, and bytes */
function notesIn(file: string): Map<number, { started: string; bytes: Map<number, number> }> {
  const content = readFileSync(file);
  const numbers = Array.from({ length: content.length / 8 }, (_, at) => Number(content.readBigUInt64LE(at * 8)));
  const notes = new Map<number, { started: string; bytes: Map<number, number> }>();
  while (numbers.length > 0) {
    const [pid = 0, started = 0, count = 0] = numbers.splice(0, 3);
    const note = notes.get(pid) ?? { started: String(started), bytes: new Map() };
    notes.set(pid, note);
    for (let range = 0; range < count; range++) {
      const [start = 0, length = 0] = numbers.splice(0, 2);
      note.bytes.set(start, length);
    }
  }
  return notes;
}

const startOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ")[19] ?? "";
const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);

it.skipIf(!TELLS)("notes what of each process's memory is there, and which process that was", async () => {
  const [one, other, file] = [await holder(), await holder(), join(temporaryFolder(), "note")];
  run("note", file, "0,0.1", one, 2 ** 30, other);
  const notes = notesIn(file);
  expect([...notes.keys()]).toEqual([one, other]);
  for (const [pid, { started, bytes }] of notes) {
    expect(started).toBe(startOf(pid));
    const resident = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
    expect(sum(bytes.values())).toBeGreaterThan(HELD_MB * MB);
    // with what lies between
    expect(sum(bytes.values())).toBeLessThan(resident * 2);
  }
  expect(existsSync(`${file}.new`)).toBe(false);
});

it("reads without a note, from processes that are gone, from others than were noted and from what is unmapped", async () => {
  const [pid, file] = [await holder(), join(temporaryFolder(), "note")];
  expect(run("read", file, "0", pid, 2 ** 30)).toBe("");
  const note = [2 ** 30, 1, 1, 0x1000, 0x1000, pid, 1, 1, 0x1000, 0x1000];
  const bytes = Buffer.alloc(8 * (note.length + 7));
  [...note, pid, Number(startOf(pid)), 2, 0x1000, 0x1000, 0x5000, 2 ** 30].forEach((value, at) =>
    bytes.writeBigUInt64LE(BigInt(value), at * 8),
  );
  writeFileSync(file, bytes);
  expect(run("read", file, "0.1", pid)).toBe("");
  expect(readFileSync(`/proc/${pid}/status`, "utf8")).toContain("VmRSS");
});
