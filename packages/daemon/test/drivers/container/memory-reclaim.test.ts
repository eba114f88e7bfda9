import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { MemoryReclaim, type MemoryReclaimOptions } from "../../../src/drivers/container/memory-reclaim.ts";
import { temporaryFolder } from "../../temporary-folder.ts";
import { FakeMemoryFolder, withCode } from "./fake-memory-folder.ts";

const MB = 1024 * 1024;
const LIMIT = String(256 * MB);
const NEVER = new AbortController().signal;
const v1Files = { "memory.limit_in_bytes": LIMIT, "memory.swappiness": "60" };
const v2Files = { "memory.reclaim": "", "memory.swap.max": "0" };

/** @param stepMs how long each step seems to take */
function reclaimWith(options: Partial<MemoryReclaimOptions> = {}, stepMs = 3): MemoryReclaim {
  let clock = 0;
  const now = () => (clock += stepMs);
  return new MemoryReclaim({ enabled: true, swap: () => ({ total: 1024 * MB, used: 0 }), now, ...options });
}

function machine(version: "v1" | "v2", usage = 100 * MB, files: Record<string, string> = {}) {
  const folder = temporaryFolder();
  const memory = new FakeMemoryFolder(version, temporaryFolder(), usage, {
    ...(version === "v1" ? v1Files : v2Files),
    ...files,
  });
  return { folder, memory, cgroup: { memory } };
}

const limits = ({ written }: FakeMemoryFolder): number[] =>
  written.filter((line) => line.startsWith("memory.limit_in_bytes")).map((line) => Number(line.split(" ")[1]));

describe("reclaim by the limit of cgroup v1", () => {
  it("lowers the limit in steps and puts limit and swappiness back", async () => {
    const target = machine("v1");
    const outcome = await reclaimWith().run(target, NEVER);
    expect(outcome).toMatchObject({ beforeBytes: 100 * MB, afterBytes: MB });
    const steps = limits(target.memory).slice(0, -1);
    expect(steps).toEqual(Array.from({ length: 99 }, (_, n) => (99 - n) * MB));
    expect(target.memory.written).toContain("memory.swappiness 100");
    expect(target.memory.now("memory.limit_in_bytes")).toBe(LIMIT);
    expect(target.memory.now("memory.swappiness")).toBe("60");
    expect(existsSync(join(target.folder, "reclaim.json"))).toBe(false);
  });

  it("stops at what cannot be swapped out", async () => {
    const target = machine("v1");
    target.memory.fixed = 20 * MB;
    expect(await reclaimWith().run(target, NEVER)).toMatchObject({ afterBytes: 20 * MB });
    expect(target.memory.now("memory.limit_in_bytes")).toBe(LIMIT);
  });

  it("takes larger steps on a quick disk and smaller ones on a slow one, within bounds", async () => {
    const sizes = async (stepMs: number): Promise<number[]> => {
      const target = machine("v1");
      await reclaimWith({}, stepMs).run(target, NEVER);
      const steps = [100 * MB, ...limits(target.memory).slice(0, -1)];
      return steps.slice(1, -1).map((limit, n) => (steps[n] ?? 0) - limit);
    };
    expect(Math.max(...(await sizes(1)))).toBe(8 * MB);
    expect(Math.min(...(await sizes(50)))).toBe(256 * 1024);
  });

  it("leaves the last tenth of the swap alone", async () => {
    const target = machine("v1");
    const used = () => 100 * MB - Number(target.memory.now("memory.usage_in_bytes"));
    const swap = () => ({ total: 50 * MB, used: used() });
    expect(await reclaimWith({ swap }).run(target, NEVER)).toMatchObject({ afterBytes: 55 * MB });
  });

  it("is over with the step it is in when it is aborted, and all is as before", async () => {
    const target = machine("v1");
    const abort = new AbortController();
    target.memory.onWrite = (_, value) => {
      if (value === String(97 * MB)) abort.abort();
    };
    expect(await reclaimWith().run(target, abort.signal)).toMatchObject({ afterBytes: 97 * MB });
    expect(limits(target.memory)).toEqual([99 * MB, 98 * MB, 97 * MB, 256 * MB]);
    expect(target.memory.now("memory.swappiness")).toBe("60");
  });

  it("puts all back after an error as well", async () => {
    const target = machine("v1");
    target.memory.onWrite = (_, value) => {
      if (value === String(98 * MB)) throw withCode("EIO");
    };
    await expect(reclaimWith().run(target, NEVER)).rejects.toThrow("EIO");
    expect(target.memory.now("memory.limit_in_bytes")).toBe(LIMIT);
  });

  it("never takes a lowered limit for the machine's own", async () => {
    const target = machine("v1");
    target.memory.onWrite = (_, value) => {
      if (value === LIMIT) throw withCode("EIO");
    };
    await expect(reclaimWith().run(target, NEVER)).rejects.toThrow("EIO");
    expect(target.memory.now("memory.limit_in_bytes")).toBe(String(MB));
    target.memory.onWrite = () => undefined;
    await reclaimWith().run(target, NEVER);
    expect(target.memory.now("memory.limit_in_bytes")).toBe(LIMIT);
  });

  it("takes it that the machine ends meanwhile", async () => {
    const target = machine("v1");
    target.memory.onWrite = (file) => {
      if (file === "memory.limit_in_bytes") rmSync(join(target.memory.folder, file), { force: true });
    };
    expect(await reclaimWith().run(target, NEVER)).toHaveProperty("afterBytes");
  });

  it("is undone by the next daemon when this one was killed in the middle", async () => {
    const target = machine("v1");
    const reached = Promise.withResolvers<void>();
    target.memory.onWrite = async (_, value) => {
      if (value !== String(90 * MB)) return;
      reached.resolve();
      await new Promise(() => undefined);
    };
    void reclaimWith().run(target, NEVER);
    await reached.promise;
    const after = new FakeMemoryFolder("v1", target.memory.folder, 91 * MB);
    expect(after.now("memory.limit_in_bytes")).toBe(String(91 * MB));
    await reclaimWith().restore({ cgroup: { memory: after }, folder: target.folder });
    expect(after.now("memory.limit_in_bytes")).toBe(LIMIT);
    expect(after.now("memory.swappiness")).toBe("60");
    await reclaimWith().restore({ cgroup: { memory: after }, folder: target.folder });
  });
});

describe("reclaim by cgroup v2", () => {
  it("asks the kernel in steps, with leave to swap for as long", async () => {
    const target = machine("v2");
    target.memory.onWrite = (file) => {
      if (file === "memory.reclaim") expect(target.memory.now("memory.swap.max")).toBe("max");
    };
    expect(await reclaimWith().run(target, NEVER)).toMatchObject({ beforeBytes: 100 * MB, afterBytes: MB });
    expect(target.memory.written[1]).toBe(`memory.reclaim ${MB} swappiness=100`);
    expect(target.memory.now("memory.swap.max")).toBe("0");
  });

  it("does without the argument on a kernel that does not know it", async () => {
    const target = machine("v2");
    target.memory.onWrite = (_, value) => {
      if (value.includes("swappiness")) throw withCode("EINVAL");
    };
    expect(await reclaimWith().run(target, NEVER)).toMatchObject({ afterBytes: MB });
    expect(target.memory.written[1]).toBe(`memory.reclaim ${MB}`);
  });

  it("stops at what cannot be swapped out", async () => {
    const target = machine("v2");
    target.memory.fixed = 33 * MB;
    expect(await reclaimWith().run(target, NEVER)).toMatchObject({ afterBytes: 33 * MB });
  });

  it("says when the kernel is too old", async () => {
    const target = machine("v2");
    rmSync(join(target.memory.folder, "memory.reclaim"));
    expect(await reclaimWith().run(target, NEVER)).toEqual({ nothing: expect.stringContaining("kernel") });
    expect(target.memory.written).toEqual([]);
  });
});

describe("reclaim", () => {
  it.each([
    ["AEGIS_RECLAIM", { enabled: false }],
    ["neither swap nor zram", { swap: () => ({ total: 0, used: 0 }) }],
    ["full", { swap: () => ({ total: MB, used: MB }) }],
  ])("does nothing and says why: %s", async (why, options) => {
    const target = machine("v1");
    expect(await reclaimWith(options).run(target, NEVER)).toEqual({ nothing: expect.stringContaining(why) });
    expect(target.memory.written).toEqual([]);
  });

  it("does one machine after the other, and who leaves the queue leaves at once", async () => {
    const [first, second, third] = [machine("v1"), machine("v1"), machine("v1")];
    const gate = Promise.withResolvers<void>();
    first.memory.onWrite = () => gate.promise;
    const reclaim = reclaimWith();
    const abort = new AbortController();
    const one = reclaim.run(first, NEVER);
    const two = reclaim.run(second, abort.signal);
    const three = reclaim.run(third, NEVER);
    abort.abort();
    expect(await two).toEqual({ nothing: expect.stringContaining("needed") });
    expect(third.memory.written).toEqual([]);
    gate.resolve();
    expect(await one).toMatchObject({ afterBytes: MB });
    expect(await three).toMatchObject({ afterBytes: MB });
    expect(second.memory.written).toEqual([]);
  });
});
