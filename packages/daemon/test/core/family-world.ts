import { expect, onTestFinished } from "vitest";
import type { Capabilities } from "@aegis/protocol/capability";
import type { CreateInstance, SpawnInstance } from "@aegis/protocol/instance";
import type { Instance } from "../../src/core/instance.ts";
import { RaceWorld } from "./race-world.ts";

export const COMMAND = ["echo-server", "7"];
export const GRANT: Capabilities = {
  spawn: true,
  spawn_depth: 2,
  max_children: 400,
  allowed_images: ["*"],
  max_memory_mb: 64,
  max_vcpus: 1,
  max_expose_ports: 2,
  allowed_network: ["*"],
};
const CHILD: SpawnInstance = { command: COMMAND, memory_mb: 64, vcpus: 0.5, disk_mb: 64 };
const NEVER = { pause_after_idle_s: null, stop_after_paused_s: null };

export async function aWorld(): Promise<RaceWorld> {
  const world = new RaceWorld({ onPause: () => undefined });
  await world.instances.reconcile();
  onTestFinished(() => world.close());
  return world;
}

export const root = async (world: RaceWorld, body: Partial<CreateInstance> = {}): Promise<Instance> =>
  (await world.instances.create({ command: COMMAND, capabilities: GRANT, ...NEVER, ...body })).instance;
export const spawn = (world: RaceWorld, parent: Instance, body: Partial<SpawnInstance> = {}): Promise<Instance> =>
  world.instances.spawn(parent, { ...CHILD, ...NEVER, ...body });

export const untilState = (instance: Instance, state: Instance["state"]): Promise<void> =>
  expect.poll(() => [instance.handle, instance.state], { interval: 2 }).toEqual([instance.handle, state]);
