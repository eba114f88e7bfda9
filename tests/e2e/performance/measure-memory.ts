import { setTimeout as delay } from "node:timers/promises";
import { bootServer, type BenchHost } from "./bench-host.ts";
import type { Figure, Series, Unit } from "./figure.ts";
import { firstByte } from "./first-byte.ts";
import { idleNode } from "./idle-node.ts";
import { cpuTimeOf, harnessPids, memoryOf } from "./process-memory.ts";

const INSTANCES = 20;
/** enough for what piles up with each of them to show */
const CONNECTIONS = 2000;
/** Longer than the harness waits before it looks at itself. */
const SETTLE_MS = 7000;
const CPU_WINDOW_MS = 20_000;
const TARGETS = { harness: 40, daemon: 110, cpu: 1 };

/** Memory of the harness and of the daemon, and what the daemon does while nothing happens. */
export async function measureMemory(host: BenchHost): Promise<Figure[]> {
  const { daemon, signal } = host;
  const settle = (ms: number) => delay(ms, undefined, { signal });
  const rss = () => [memoryOf(daemon.pid).rss];
  const alone = rss();
  const servers = await bootServers(host);
  const ids = servers.map(({ instance }) => instance.id);
  await settle(SETTLE_MS);
  const pids = harnessPids(ids);
  if (pids.length !== INSTANCES) throw new Error(`${pids.length} harnesses for ${INSTANCES} instances`);
  const harnesses = pids.map(memoryOf);
  const running = rss();
  for (let count = 0; count < CONNECTIONS; count++) await serve(servers, count, signal);
  const [worked, busy] = [rss(), pids.map(memoryOf)];
  for (const id of ids) await daemon.client.instances.pause(id);
  await settle(1000);
  const cpu = [await cpuShare(daemon.pid, settle)];
  const paused = rss();
  for (const id of ids) await daemon.client.instances.delete(id);
  const served = `after ${CONNECTIONS} connections`;
  const { harness, daemon: limit } = TARGETS;
  return [
    figure("harness, RSS", "MB", pick(harnesses, "rss"), harness),
    figure(`harness, RSS ${served}`, "MB", pick(busy, "rss"), harness),
    figure("harness, its share (Pss)", "MB", pick(harnesses, "pss"), null),
    figure("harness, private dirty", "MB", pick(harnesses, "privateDirty"), null),
    figure("aegisd without instances, RSS", "MB", alone, null, [await idleNode()]),
    figure(`aegisd, ${INSTANCES} instances running, RSS`, "MB", running, limit),
    figure(`aegisd, ${INSTANCES} running, RSS ${served}`, "MB", worked, limit),
    figure(`aegisd, ${INSTANCES} instances paused, RSS`, "MB", paused, limit),
    figure(`aegisd, ${INSTANCES} instances paused, of one core`, "% CPU", cpu, TARGETS.cpu),
  ];
}

type Server = Awaited<ReturnType<typeof bootServer>>;

async function bootServers(host: BenchHost): Promise<Server[]> {
  const servers: Server[] = [];
  for (let count = 0; count < INSTANCES; count++) {
    host.signal.throwIfAborted();
    servers.push(await bootServer(host));
  }
  return servers;
}

/** One connection, to one server after the other. */
async function serve(servers: readonly Server[], count: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const server = servers[count % servers.length];
  if (server !== undefined) await firstByte(server.port);
}

const pick = <K extends string>(samples: readonly Record<K, number>[], field: K): number[] =>
  samples.map((sample) => sample[field]);

const figure = (label: string, unit: Unit, values: number[], target: number | null, raw: Series[] = []): Figure => ({
  group: "memory",
  unit,
  aegis: { label, values },
  raw,
  target,
});

async function cpuShare(pid: number, settle: (ms: number) => Promise<unknown>): Promise<number> {
  const [start, before] = [performance.now(), cpuTimeOf(pid)];
  await settle(CPU_WINDOW_MS);
  return ((cpuTimeOf(pid) - before) / (performance.now() - start)) * 100;
}
