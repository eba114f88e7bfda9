import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Instance } from "../../src/core/instance.ts";
import { pruneInstances } from "../../src/core/prune-instances.ts";
import { RaceWorld } from "./race-world.ts";

const HOUR_S = 3600;
const command = ["sleep", "1000"];
const capabilities = {
  spawn: true,
  spawn_depth: 1,
  max_children: 4,
  allowed_images: ["*"],
  max_memory_mb: 512,
  max_vcpus: 1,
};

let world: RaceWorld;
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  world = new RaceWorld({ onPause: () => undefined });
  await world.instances.reconcile();
});
afterEach(async () => {
  vi.useRealTimers();
  await world.close();
});

async function create(handle: string, more: object = {}): Promise<Instance> {
  const { instance } = await world.instances.create({ handle, command, ...more });
  await instance.start("test");
  return instance;
}

async function spawn(parent: Instance, handle: string): Promise<Instance> {
  const child = await world.instances.spawn(parent, { handle, command });
  await child.start("test");
  return child;
}

const later = (seconds: number) => vi.setSystemTime(Date.now() + seconds * 1000);
const left = () => world.instances.list().map(({ handle }) => handle);

it("deletes what has been stopped for longer, and nothing else", async () => {
  const [old, young] = [await create("old"), await create("young")];
  await create("up");
  await world.instances.stop(old);
  later(2 * HOUR_S);
  await world.instances.stop(young);
  expect(await pruneInstances(world.instances, HOUR_S)).toEqual(["old"]);
  expect(left()).toEqual(["up", "young"]);
  expect(() => world.instances.find("old")).toThrow(expect.objectContaining({ status: 410 }));
});

it("leaves a parent whose child was started again, and names the children that go with theirs", async () => {
  const parent = await create("parent", { capabilities });
  const child = await spawn(parent, "child");
  await world.instances.stop(parent);
  later(2 * HOUR_S);
  await child.start("test");
  expect(await pruneInstances(world.instances, HOUR_S)).toEqual([]);
  await child.stop("test");
  expect(await pruneInstances(world.instances, HOUR_S)).toEqual([]);
  later(2 * HOUR_S);
  expect(await pruneInstances(world.instances, HOUR_S)).toEqual(["parent", "child"]);
  expect(left()).toEqual([]);
});

it("leaves what its restart policy is about to start", async () => {
  const instance = await create("always", { restart: "always" });
  world.driver.machine(instance.id)?.harness.signalWorkload("SIGKILL");
  await expect.poll(() => instance.view().restart_at).not.toBeNull();
  expect(await pruneInstances(world.instances, 0)).toEqual([]);
});
