import { describe, expect, it } from "vitest";
import type { CreateInstance, SpawnInstance } from "@aegis/protocol/instance";
import type { Instance } from "../../src/core/instance.ts";
import { aWorld, GRANT, untilState, root, spawn } from "./family-world.ts";
import { turn } from "./race-commands.ts";
import type { RaceWorld } from "./race-world.ts";

type End = (world: RaceWorld, parent: Instance) => unknown;

describe("children of a parent that ends", () => {
  const ends: [string, End, string][] = [
    ["is stopped", (world, parent) => world.instances.stop(parent), "stopped"],
    ["is disabled", (world, parent) => world.instances.disable(parent), "stopped"],
    [
      "exits by itself",
      (world, parent) => world.driver.machine(parent.id)?.harness.signalWorkload("SIGTERM"),
      "stopped",
    ],
    ["loses its machine", (world, parent) => world.driver.machine(parent.id)?.exit(), "failed"],
    ["runs out of memory", (world, parent) => world.driver.machine(parent.id)?.exit({ outOfMemory: true }), "failed"],
    [
      "is stopped after a long pause",
      async (_world, parent) => {
        parent.update({ stop_after_paused_s: 0.1, hibernate: false });
        await parent.pause();
      },
      "stopped",
    ],
    ["is over", (_world, parent) => parent.update({ lifetime_s: 1 }), "stopped"],
  ];

  describe.each(ends)("which %s", (_name, end, state) => {
    it("end with it, on all levels", async () => {
      const world = await aWorld();
      const { parent, child, grandchild } = await threeLevels(world);
      await end(world, parent);
      await untilState(parent, state as Instance["state"]);
      await untilState(child, "stopped");
      await untilState(grandchild, "stopped");
      await expect.poll(() => parent.endsBelow).toBe(false);
    });

    it("go on when it keeps them", async () => {
      const world = await aWorld();
      const { parent, child, grandchild } = await threeLevels(world, { orphans: "keep" });
      await end(world, parent);
      await untilState(parent, state as Instance["state"]);
      await turn(50);
      const expired = parent.record.spec.lifetime_s !== null;
      // nobody outlives the lifetime of one above, kept or not
      for (const one of [child, grandchild]) await untilState(one, expired ? "stopped" : "running");
    });
  });

  it("go on when it is only paused", async () => {
    const world = await aWorld();
    const { parent, child, grandchild } = await threeLevels(world);
    await parent.pause();
    await turn(50);
    expect([parent.state, child.state, grandchild.state]).toEqual(["paused", "running", "running"]);
  });

  it("go on when it is hibernated, with a daemon that comes later too, and end hibernated when it is stopped", async () => {
    const world = await aWorld();
    const { parent, child, grandchild } = await threeLevels(world);
    await child.hibernate();
    await parent.hibernate();
    await world.crash();
    const [above, middle, below] = [parent, child, grandchild].map(({ id }) => world.instances.find(id));
    if (above === undefined || middle === undefined || below === undefined) throw new Error("one is gone");
    await untilState(below, "running");
    expect([above.state, middle.state]).toEqual(["hibernated", "hibernated"]);
    await world.instances.stop(above);
    expect([above.state, middle.state, below.state]).toEqual(["stopped", "stopped", "stopped"]);
    expect(world.host.snapshots.size).toBe(0);
  });

  it("end also below one that keeps its own", async () => {
    const world = await aWorld();
    const { parent, child, grandchild } = await threeLevels(world, {}, { orphans: "keep" });
    await world.instances.stop(child);
    expect(grandchild.state).toBe("running");
    await world.instances.stop(parent);
    expect(grandchild.state).toBe("stopped");
  });

  it("are not started with it again, can be woken on their own, and not at all while it is disabled", async () => {
    const world = await aWorld();
    const { parent, child } = await threeLevels(world);
    await world.instances.restart(parent);
    expect([parent.state, child.state]).toEqual(["running", "stopped"]);
    await world.instances.stop(parent);
    (await child.connections.open(7, "tcp")).stream.destroy();
    expect([parent.state, child.state]).toEqual(["stopped", "running"]);
    await world.instances.disable(parent);
    expect(child.state).toBe("stopped");
    await expect(child.connections.open(7, "tcp")).rejects.toMatchObject({ code: "wrong_state" });
    await expect(child.start("test")).rejects.toMatchObject({ code: "wrong_state" });
    await parent.start("test");
    await child.start("test");
    expect(child.state).toBe("running");
  });

  it("end when its machine went while there was no daemon, and are not started with it", async () => {
    const world = await aWorld();
    const { parent, child, grandchild } = await threeLevels(world, { restart: "always" });
    const gone = world.driver.machine(parent.id);
    await world.instances.forgetAll();
    gone?.exit();
    await world.crash();
    await untilState(world.instances.find(parent.id), "running");
    for (const one of [child, grandchild]) await untilState(world.instances.find(one.id), "stopped");
  });

  it("end when the host went down; what has no parent is started again", async () => {
    const world = await aWorld();
    const { parent, child, grandchild } = await threeLevels(world);
    const kept = await threeLevels(world, { orphans: "keep" });
    for (const machine of world.host.machines.values()) machine.exit();
    world.host.machines.clear();
    world.host.bootId = "boot-2";
    await world.crash();
    await untilState(world.instances.find(parent.id), "running");
    for (const { id } of [child, grandchild]) await untilState(world.instances.find(id), "stopped");
    for (const { id } of [kept.parent, kept.child]) await untilState(world.instances.find(id), "running");
    expect(world.warnings).toEqual([]);
  });

  it("end with the next daemon when this one was killed in between", async () => {
    const world = await aWorld();
    const { parent, child, grandchild } = await threeLevels(world);
    // as it was written when the parent's end was known, and its children's not yet
    const stored = world.store.loadInstances().find(({ record }) => record.id === parent.id);
    if (stored === undefined) throw new Error("the parent is not stored");
    await world.instances.forgetAll();
    world.driver.machine(parent.id)?.exit();
    world.store.updateObservation(parent.id, {
      ...stored.observation,
      state: "stopped",
      wanted: "stopped",
      endsBelow: true,
    });
    await world.crash();
    for (const { id } of [child, grandchild]) await untilState(world.instances.find(id), "stopped");
    await expect.poll(() => world.instances.find(parent.id).endsBelow).toBe(false);
  });

  it("that are made in its last moments end with it too", async () => {
    const world = await aWorld();
    const parent = await root(world);
    await parent.start("test");
    const stopping = world.instances.stop(parent);
    const late = await spawn(world, parent);
    await stopping;
    await untilState(late, "stopped");
  });

  it("are deleted with it, kept or not", async () => {
    const world = await aWorld();
    const { parent } = await threeLevels(world, { orphans: "keep" });
    await world.instances.delete(parent);
    await expect.poll(() => world.instances.list()).toEqual([]);
    expect(world.host.machines.size).toBe(0);
  });

  async function threeLevels(
    world: RaceWorld,
    top: Partial<CreateInstance> = {},
    middle: Partial<SpawnInstance> = {},
  ): Promise<{ parent: Instance; child: Instance; grandchild: Instance }> {
    const parent = await root(world, top);
    await parent.start("test");
    const child = await spawn(world, parent, { capabilities: { ...GRANT, spawn_depth: 1 }, ...middle });
    const grandchild = await spawn(world, child);
    for (const one of [child, grandchild]) await one.start("test");
    return { parent, child, grandchild };
  }
});
