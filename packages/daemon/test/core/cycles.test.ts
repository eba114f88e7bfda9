import { existsSync, readdirSync, statSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import type { Instance } from "../../src/core/instance.ts";
import { openDatabase } from "../../src/store/database.ts";
import { LogFiles } from "../../src/store/log-files.ts";
import { SqliteStore } from "../../src/store/sqlite-store.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { RaceWorld } from "./race-world.ts";

const CYCLES = 10_000;
/** Until then tombstones and events fill up, and V8 compiles: what is there afterwards is to stay as it is. */
const WARM_UP = 3000;
const AT_ONCE = 20;
const MB = 2 ** 20;

it(`${CYCLES} instances that come and go leave memory and disk as they were`, { timeout: 600_000 }, async () => {
  const folder = temporaryFolder();
  const database = join(folder, "aegis.db");
  const logs = new LogFiles(join(folder, "instances"), (message) => expect.fail(message));
  const world = new RaceWorld({ onPause: () => undefined }, { store: new SqliteStore(openDatabase(database)), logs });
  onTestFinished(() => world.close());
  await world.instances.reconcile();
  const look = async () => {
    await logs.flush();
    await settled();
    return {
      heap: process.memoryUsage().heapUsed,
      timers: process.getActiveResourcesInfo().filter((name) => name === "Timeout" || name === "Immediate").length,
      database: statSync(database).size + statSync(`${database}-wal`).size,
    };
  };
  await cycles(world, WARM_UP);
  const before = await look();
  await cycles(world, CYCLES - WARM_UP);
  const after = await look();
  console.info(`after ${WARM_UP}: ${JSON.stringify(before)}, after ${CYCLES}: ${JSON.stringify(after)}`);
  expect(after.heap - before.heap).toBeLessThan(4 * MB);
  expect(after.timers).toBeLessThanOrEqual(before.timers);
  expect(after.database - before.database).toBeLessThan(MB);
  expect(existsSync(join(folder, "instances")) ? readdirSync(join(folder, "instances")) : []).toEqual([]);
  expect([world.host.machines.size, world.host.disks.size, world.openPorts.size]).toEqual([0, 0, 0]);
  expect([world.instances.list(), world.store.remains()]).toEqual([[], []]);
  expect(world.warnings).toEqual([]);
});

async function cycles(world: RaceWorld, count: number): Promise<void> {
  let left = count;
  const work = async (): Promise<void> => {
    while (left-- > 0) await cycle(world, left);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

/** What leaves something behind: a port, a lease, a pause, an exec, a log, an exit of its own. */
async function cycle({ instances }: RaceWorld, n: number): Promise<void> {
  const { instance } = await instances.create({
    command: n % 3 === 0 ? ["echo", "hello"] : ["echo-server", "7"],
    exposes: [7],
    handle: `cycle-${n}`,
  });
  await instance.start("test").catch(() => undefined);
  if (n % 3 !== 0) await use(instance, n);
  await instances.delete(instance);
}

async function use(instance: Instance, n: number): Promise<void> {
  instance.leases.acquire({ ttl_ms: 60_000, reason: "test" });
  if (n % 2 === 0) await instance.pause(true);
  const { session, release } = await instance.connections.exec({ command: ["true"] });
  for await (const frame of session.frames) void frame;
  session.close();
  release();
  const stream = (await instance.connections.open(7, "tcp")).stream;
  stream.destroy();
}

async function settled(): Promise<void> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let n = 0; n < 5; n++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    collect();
  }
}
