import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import { RaceWorld } from "./race-world.ts";

it("the daemon after one that was killed right behind a wake counts neither the pause nor the boot before it as idle", async () => {
  const world = new RaceWorld({ onPause: () => undefined });
  await world.instances.reconcile();
  const spec = { command: ["serve", "80"], idle_policy: "leases_only" as const, pause_after_idle_s: 1000 };
  const { instance } = await world.instances.create(spec);
  await instance.start("test");
  await instance.pause();
  await delay(20);
  const woken = Date.now();
  await instance.start("test");
  await world.crash();
  const { state, last_active_at } = world.instances.find(instance.id).view();
  expect(state).toBe("running");
  expect(Date.parse(last_active_at)).toBeGreaterThanOrEqual(woken);
  await world.close();
});
