import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HEARTBEAT_MS } from "@aegis/protocol/control";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { activityBetween, Heartbeat, readCounters } from "../src/activity.ts";

const HARNESS = 2;
let proc: string;

beforeEach(() => {
  proc = mkdtempSync(join(tmpdir(), "aegis-proc-"));
});
afterEach(() => rmSync(proc, { recursive: true, force: true }));

/** Own and reaped children's ticks. */
function setProcess(pid: number, own: number, children: number): void {
  mkdirSync(join(proc, String(pid)), { recursive: true });
  writeFileSync(join(proc, `${pid}/stat`), `${pid} (x) S 1 1 1 0 -1 0 0 0 0 0 ${own} 0 ${children} 0 20 0 1 0 0`);
}

test("quiet is no report, each threshold alone is one", () => {
  const before = { tcp: 5, cpuMs: 1000, netBytes: 1000 };
  expect(activityBetween(before, { tcp: 0, cpuMs: 1099, netBytes: 1511 })).toBeNull();
  expect(activityBetween(before, { tcp: 1, cpuMs: 1000, netBytes: 1000 })).toEqual({ tcp: 1, cpu_ms: 0, net_bytes: 0 });
  expect(activityBetween(before, { tcp: 0, cpuMs: 1100, netBytes: 1000 })?.cpu_ms).toBe(100);
  expect(activityBetween(before, { tcp: 0, cpuMs: 1000, netBytes: 1512 })?.net_bytes).toBe(512);
});

test("counters that went back are no activity", () => {
  expect(activityBetween({ tcp: 0, cpuMs: 9000, netBytes: 9000 }, { tcp: 0, cpuMs: 0, netBytes: 0 })).toBeNull();
});

test("init's and the harness's own time does not count, that of their children does", () => {
  setProcess(1, 1000, 3);
  setProcess(HARNESS, 1000, 4);
  setProcess(50, 10, 5);
  expect(readCounters(proc, HARNESS).cpuMs).toBe(220);
});

test("a process that ends and is reaped keeps its time", () => {
  setProcess(1, 0, 0);
  setProcess(HARNESS, 0, 0);
  setProcess(50, 30, 0);
  setProcess(51, 20, 0);
  const before = readCounters(proc, HARNESS);
  rmSync(join(proc, "51"), { recursive: true });
  setProcess(50, 30, 20);
  expect(readCounters(proc, HARNESS).cpuMs).toBe(before.cpuMs);
  rmSync(join(proc, "50"), { recursive: true });
  setProcess(HARNESS, 0, 50);
  expect(readCounters(proc, HARNESS).cpuMs).toBe(before.cpuMs);
});

test("a /proc without network tables has none", () => {
  expect(readCounters(proc, HARNESS)).toEqual({ tcp: 0, cpuMs: 0, netBytes: 0 });
});

describe("a heartbeat", () => {
  let now: number;
  let beats: number;
  const pass = (ms: number) => {
    now += ms;
    vi.advanceTimersByTime(ms);
  };
  const beLate = () => {
    now += 60_000;
    vi.advanceTimersToNextTimer();
  };
  beforeEach(() => {
    vi.useFakeTimers();
    [now, beats] = [0, 0];
    new Heartbeat(
      () => undefined,
      () => (beats += 1),
      () => now,
    ).start();
    while (beats === 0) pass(10);
  });
  afterEach(() => vi.useRealTimers());

  test("waits after a pause, for what the instance was woken for", () => {
    expect(now).toBeLessThan(HEARTBEAT_MS * 1.2);
    beLate();
    expect(beats).toBe(1);
    pass(1000);
    expect(beats).toBe(2);
  });

  test("waits once: one that is late again and again comes from a busy machine", () => {
    for (const expected of [1, 2, 2, 3]) {
      beLate();
      expect(beats).toBe(expected);
    }
  });
});
