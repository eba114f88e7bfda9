import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkSwap } from "../src/doctor/swap.ts";

const HEAD = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
const ZRAM = "/dev/zram0                              partition\t4194300\t\t0\t\t100\n";
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "aegis-doctor-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function file(path: string, text: string): string {
  const whole = join(folder, path);
  mkdirSync(dirname(whole), { recursive: true });
  writeFileSync(whole, text);
  return whole;
}

test("without swap: what it costs, and how to switch zram or a file on", () => {
  const finding = checkSwap(file("swaps", HEAD), folder);
  expect(finding).toMatchObject({ verdict: "weak", found: expect.stringContaining("keeps all of its memory") });
  expect(finding.fix).toMatch(/zramctl.*swapon.*fallocate.*mkswap.*swapon/);
});

test("with swap, and a kernel that can push one group out to it", () => {
  file("memory/memory.limit_in_bytes", "1\n");
  const finding = checkSwap(file("swaps", HEAD + ZRAM), folder);
  expect(finding).toMatchObject({ verdict: "good", found: expect.stringContaining("/dev/zram0") });
});

test("with swap that no group can be pushed out to", () => {
  file("cgroup.controllers", "cpu pids\n");
  const finding = checkSwap(file("swaps", HEAD + ZRAM), folder);
  expect(finding).toMatchObject({ verdict: "weak", fix: expect.stringContaining("memory controller") });
});
