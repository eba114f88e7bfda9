import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { bootServer, type BenchHost } from "./bench-host.ts";
import type { Figure, Series } from "./figure.ts";
import { cpuTimeOf, harnessPids, memoryOf } from "./process-memory.ts";

const INSTANCES = 20;
/** Longer than the harness waits before it looks at itself, and for the daemon's garbage to be collected. */
const SETTLE_MS = 12_000;
const CPU_WINDOW_MS = 20_000;
const TARGETS = { harness: 40, daemon: 110, cpu: 1 };

/** Memory of the harness and of the daemon, and what the daemon does while nothing happens. */
export async function measureMemory(host: BenchHost): Promise<Figure[]> {
  const { daemon, signal } = host;
  const settle = (ms: number) => delay(ms, undefined, { signal });
  await settle(SETTLE_MS);
  const alone = memoryOf(daemon.pid).rss;
  const ids: string[] = [];
  for (let count = 0; count < INSTANCES; count++) ids.push((await bootServer(host)).instance.id);
  await settle(SETTLE_MS);
  const harnesses = harnessPids(ids).map(memoryOf);
  if (harnesses.length !== INSTANCES) throw new Error(`${harnesses.length} harnesses for ${INSTANCES} instances`);
  const crowded = memoryOf(daemon.pid);
  for (const id of ids) await daemon.client.instances.pause(id);
  await settle(1000);
  const cpu = await cpuShare(daemon.pid, settle);
  const asleep = memoryOf(daemon.pid).rss;
  for (const id of ids) await daemon.client.instances.delete(id);
  const node = await idleNode();
  const megabytes = (label: string, values: number[], target: number | null, raw: Series[] = []): Figure => ({
    group: "memory",
    unit: "MB",
    aegis: { label, values },
    raw,
    target,
  });
  return [
    megabytes(
      "harness, RSS",
      harnesses.map(({ rss }) => rss),
      TARGETS.harness,
    ),
    megabytes(
      "harness, its share (Pss)",
      harnesses.map(({ pss }) => pss),
      null,
    ),
    megabytes(
      "harness, private dirty",
      harnesses.map(({ privateDirty }) => privateDirty),
      null,
    ),
    megabytes("aegisd without instances, RSS", [alone], null, [node]),
    megabytes(`aegisd, ${INSTANCES} instances running, RSS`, [crowded.rss], TARGETS.daemon),
    megabytes(`aegisd, ${INSTANCES} instances paused, RSS`, [asleep], TARGETS.daemon),
    megabytes("aegisd, highest RSS of this run", [crowded.peak], null),
    {
      group: "memory",
      unit: "% CPU",
      aegis: { label: `aegisd, ${INSTANCES} paused, of one core`, values: [cpu] },
      raw: [],
      target: TARGETS.cpu,
    },
  ];
}

async function cpuShare(pid: number, settle: (ms: number) => Promise<unknown>): Promise<number> {
  const [start, before] = [performance.now(), cpuTimeOf(pid)];
  await settle(CPU_WINDOW_MS);
  return ((cpuTimeOf(pid) - before) / (performance.now() - start)) * 100;
}

/** What Node takes that has nothing to do. */
async function idleNode(): Promise<Series> {
  const script = "setInterval(() => undefined, 60_000); console.log('up')";
  const child = spawn(process.execPath, ["--max-semi-space-size=1", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    await once(child.stdout, "data");
    return { label: "Node with nothing to do", values: [memoryOf(child.pid ?? 0).rss] };
  } finally {
    child.kill("SIGKILL");
  }
}
