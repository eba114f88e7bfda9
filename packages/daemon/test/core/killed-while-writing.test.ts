import { once } from "node:events";
import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { Instance } from "../../src/core/instance.ts";
import { RaceWorld } from "./race-world.ts";

const SERVE = { command: ["serve", "80"], pause_after_idle_s: null, stop_after_paused_s: null };

/** A daemon was killed while it wrote an instance to disk, and the next one has come. */
async function killedWhileWriting(): Promise<{ world: RaceWorld; instance: Instance }> {
  const world = new RaceWorld({ onPause: () => undefined });
  await world.instances.reconcile();
  const { instance } = await world.instances.create(SERVE);
  await instance.start("test");
  const begun = new Promise<void>((begin) => {
    world.driver.whileHibernating = async (signal) => {
      begin();
      if (!signal.aborted) await once(signal, "abort");
      // what the next daemon finds is settled before this would have been written
      await setImmediate();
    };
  });
  // whoever asked a daemon that is killed hears no more
  void instance.hibernate();
  await begun;
  await world.crash();
  return { world, instance: world.instances.find(instance.id) };
}

describe("a daemon that is killed while it writes an instance to disk", () => {
  it("leaves it paused to the next one", async () => {
    const { world, instance } = await killedWhileWriting();
    await expect.poll(() => instance.state).toBe("paused");
    await instance.start("test");
    expect(world.driver.machine(instance.id)).toMatchObject({ boot: 1 });
    expect(world.host.snapshots.size).toBe(0);
    await world.close();
  });

  it("leaves nothing on disk when the workload ends before somebody wakes it", async () => {
    const { world, instance } = await killedWhileWriting();
    world.driver.machine(instance.id)?.harness.signalWorkload("SIGKILL");
    await instance.start("test").catch(() => undefined);
    await expect.poll(() => instance.state).toBe("stopped");
    expect(world.host.snapshots.size).toBe(0);
    await world.close();
  });
});
