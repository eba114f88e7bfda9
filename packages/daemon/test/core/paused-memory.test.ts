import { describe, expect, it } from "vitest";
import type { Machine, ReclaimOutcome, ReclaimedMemory } from "../../src/core/driver.ts";
import { PausedMemory } from "../../src/core/paused-memory.ts";
import { FakeDriver } from "../../src/drivers/fake/fake-driver.ts";

const DONE: ReclaimedMemory = { beforeBytes: 100, afterBytes: 10, tookMs: 5 };

async function machineWith(reclaim: (signal: AbortSignal) => Promise<ReclaimOutcome>): Promise<Machine> {
  const spec = { instanceId: "inst-1", boot: 1, hostname: "one", rootfs: "/", user: "", memoryMb: 64, vcpus: 1 };
  const machine: Machine = await new FakeDriver().create({
    ...spec,
    image: { digest: "sha256:0", derived: "/none" },
    readOnlyRoot: false,
    network: { mode: "open" },
    workspace: null,
    diskMb: 64,
  });
  return Object.assign(machine, { reclaim });
}

function pausedMemory() {
  const reclaimed: ReclaimedMemory[] = [];
  const warnings: string[] = [];
  const memory = new PausedMemory({
    afterMs: 1,
    onReclaimed: (result) => reclaimed.push(result),
    warn: (message) => warnings.push(message),
  });
  return { memory, reclaimed, warnings };
}

/** Reclaims until it is aborted, and is done a moment later. */
function endless() {
  const begun = Promise.withResolvers<void>();
  const seen = { aborted: false, settled: false };
  const reclaim = async (signal: AbortSignal): Promise<ReclaimOutcome> => {
    begun.resolve();
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    seen.aborted = true;
    await new Promise(setImmediate);
    seen.settled = true;
    return DONE;
  };
  return { reclaim, begun: begun.promise, seen };
}

describe("the memory of a paused machine", () => {
  it("goes back after a moment, and that is told", async () => {
    const { memory, reclaimed } = pausedMemory();
    memory.begin(await machineWith(async () => DONE));
    await expect.poll(() => reclaimed).toEqual([DONE]);
    await memory.end();
  });

  it("stays when the pause is over before that", async () => {
    const { memory } = pausedMemory();
    let asked = 0;
    const machine = await machineWith(async () => ((asked += 1), DONE));
    memory.begin(machine);
    await memory.end();
    memory.begin(machine);
    await expect.poll(() => asked).toBe(1);
  });

  it("is left alone from the moment that the machine is needed, which waits until it is as before", async () => {
    const { memory, reclaimed } = pausedMemory();
    for (const round of [1, 2]) {
      const { reclaim, begun, seen } = endless();
      memory.begin(await machineWith(reclaim));
      await begun;
      expect(seen.aborted).toBe(false);
      await Promise.all([memory.end(), memory.end()]);
      expect(seen.settled).toBe(true);
      expect(reclaimed).toHaveLength(round);
    }
  });

  it("is no event when nothing was to be done", async () => {
    const { memory, reclaimed, warnings } = pausedMemory();
    const asked = Promise.withResolvers<void>();
    memory.begin(await machineWith(async () => (asked.resolve(), { nothing: "no swap" })));
    await asked.promise;
    await memory.end();
    expect([reclaimed, warnings]).toEqual([[], []]);
  });

  it("that cannot be given back is a warning, and the machine goes on", async () => {
    const { memory, warnings } = pausedMemory();
    memory.begin(
      await machineWith(async () => {
        throw new Error("no such luck");
      }),
    );
    await expect.poll(() => warnings).toEqual([expect.stringContaining("no such luck")]);
    await memory.end();
  });
});
