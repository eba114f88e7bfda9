import { describe, expect, it } from "vitest";
import type { Capabilities } from "@aegis/protocol/capability";
import { aWorld, COMMAND, GRANT, root, spawn } from "./family-world.ts";

const settled = (work: Promise<unknown>[]): Promise<{ made: number; refused: string[] }> =>
  Promise.allSettled(work).then((all) => ({
    made: all.filter(({ status }) => status === "fulfilled").length,
    refused: all.flatMap((one) =>
      one.status === "rejected" ? [String((one.reason as { capability?: string }).capability)] : [],
    ),
  }));

describe("budgets", () => {
  it.each<[string, Capabilities, number]>([
    ["max_children", { ...GRANT, max_children: 17 }, 17],
    ["tree.instances", { ...GRANT, tree: { instances: 23 } }, 23],
    ["tree.memory_mb", { ...GRANT, tree: { memory_mb: 64 * 11 + 63 } }, 11],
    ["tree.vcpus", { ...GRANT, tree: { vcpus: 0.5 * 7 + 0.4 } }, 7],
    ["tree.disk_mb", { ...GRANT, tree: { disk_mb: 64 * 5 } }, 5],
  ])("of %s hold against 240 spawns at one time", async (field, capabilities, most) => {
    const world = await aWorld();
    const parent = await root(world, { capabilities });
    const { made, refused } = await settled(Array.from({ length: 240 }, () => spawn(world, parent)));
    expect(made).toBe(most);
    expect(new Set(refused)).toEqual(new Set([field]));
    expect(world.store.usedBelow(parent.id)).toMatchObject({ instances: most, children: most });
    // what is refused leaves nothing behind
    expect(world.store.loadInstances().length).toBe(most + 1);
  });

  it("of a tree hold against spawns on several levels at one time, and those in between have their own", async () => {
    const world = await aWorld();
    const parent = await root(world, { capabilities: { ...GRANT, tree: { memory_mb: 64 * 50 } } });
    const lower: Capabilities = { ...GRANT, spawn_depth: 1, tree: { instances: 12 } };
    const children = await Promise.all(Array.from({ length: 5 }, () => spawn(world, parent, { capabilities: lower })));
    const asked = [parent, ...children].flatMap((one) => Array.from({ length: 40 }, () => spawn(world, one)));
    const { made } = await settled(asked);
    expect(made).toBe(45);
    expect(world.store.usedBelow(parent.id)).toMatchObject({ instances: 50, memory_mb: 64 * 50 });
    for (const child of children) expect(world.store.usedBelow(child.id).instances).toBeLessThanOrEqual(12);
  });

  it("without a number are what the children that are allowed may take, and 0 is none", async () => {
    const world = await aWorld();
    const parent = await root(world, { capabilities: { ...GRANT, max_children: 3 } });
    expect(world.instances.rightsOf(parent)).toMatchObject({
      children: 3,
      left: { instances: 3, memory_mb: 192, vcpus: 3 },
    });
    const child = await spawn(world, parent, { capabilities: { ...GRANT, spawn_depth: 1, max_children: 3 } });
    await spawn(world, child);
    await spawn(world, child);
    await expect(spawn(world, child)).rejects.toMatchObject({ capability: "tree.instances" });
    await world.instances.grant(parent, { ...GRANT, tree: { instances: 0 } });
    await expect(spawn(world, parent)).rejects.toMatchObject({ capability: "tree.instances" });
  });

  it("come back with a deletion, not with a stop", async () => {
    const world = await aWorld();
    const parent = await root(world, { capabilities: { ...GRANT, tree: { memory_mb: 64 } } });
    const child = await spawn(world, parent);
    await world.instances.stop(child);
    await expect(spawn(world, parent)).rejects.toMatchObject({ capability: "tree.memory_mb" });
    await world.instances.delete(child);
    await spawn(world, parent);
    expect(world.instances.rightsOf(parent).left.memory_mb).toBe(0);
  });

  it("give a child that names no size what is left", async () => {
    const world = await aWorld();
    const parent = await root(world, {
      capabilities: { ...GRANT, tree: { memory_mb: 100, vcpus: 0.7, disk_mb: 128 } },
    });
    await spawn(world, parent, { memory_mb: 60 });
    const { spec } = (await world.instances.spawn(parent, { command: COMMAND })).record;
    expect(spec).toMatchObject({ memory_mb: 40, vcpus: 0.2, disk_mb: 64, network: { mode: "open" } });
    await expect(world.instances.spawn(parent, { command: COMMAND })).rejects.toMatchObject({
      code: "capability_refused",
    });
  });
});

describe("a tree", () => {
  it("adds up in its parent", async () => {
    const world = await aWorld();
    const parent = await root(world, { capabilities: { ...GRANT, max_children: 4 } });
    const child = await spawn(world, parent, { capabilities: { ...GRANT, spawn_depth: 1, max_children: 4 } });
    const grandchild = await spawn(world, child);
    for (const one of [parent, child, grandchild]) await one.start("test");
    const { tree } = await world.instances.inspect(parent);
    const own = await grandchild.stats();
    expect(tree).toMatchObject({
      children: 1,
      children_left: 3,
      used: { instances: 2, memory_mb: 128, vcpus: 1, disk_mb: 128 },
      left: { instances: 2, memory_mb: 128, vcpus: 3 },
      stats: { memory_bytes: 3 * (own?.memory_bytes ?? 0), cpu_ms: 3 * (own?.cpu_ms ?? 0), processes: 6 },
    });
    expect((await world.instances.inspect(grandchild)).tree?.used.instances).toBe(0);
  });
});
