import { setTimeout as delay } from "node:timers/promises";
import { bootServer, type BenchHost } from "./bench-host.ts";
import { firstByte } from "./first-byte.ts";
import type { Figure, Unit } from "./figure.ts";
import { cpuTimeOf, memoryOf } from "./process-memory.ts";

const CROWDS = [0, 50, 100] as const;
const CPU_WINDOW_MS = 60_000;
/** for what a boot or a pause has set off to be over, as it is when somebody was idle for a while */
const SETTLE_MS = 7000;

/** The daemon's memory as instances fall asleep, and its CPU time while all of them sleep. */
export async function measurePowerDaemon(host: BenchHost): Promise<Figure[]> {
  const { daemon, signal } = host;
  const { instances } = daemon.client;
  const figures: Figure[] = [];
  const servers: Awaited<ReturnType<typeof bootServer>>[] = [];
  for (const crowd of CROWDS) {
    while (servers.length < crowd) {
      signal.throwIfAborted();
      servers.push(await bootServer(host));
    }
    await delay(SETTLE_MS, undefined, { signal });
    for (const { instance } of servers) await instances.pause(instance.id);
    await delay(SETTLE_MS, undefined, { signal });
    figures.push(figure(`aegisd, ${crowd} paused, RSS`, "MB", [memoryOf(daemon.pid).rss], null));
  }
  const [start, before] = [performance.now(), cpuTimeOf(daemon.pid)];
  await delay(CPU_WINDOW_MS, undefined, { signal });
  const cpu = ((cpuTimeOf(daemon.pid) - before) / (performance.now() - start)) * 100;
  const wakes: number[] = [];
  for (const { port } of servers) {
    signal.throwIfAborted();
    wakes.push(await firstByte(port));
  }
  for (const { instance } of servers) await instances.delete(instance.id);
  return [
    ...figures,
    figure(`aegisd, ${servers.length} paused for a minute, of one core`, "% CPU", [cpu], 0.5),
    figure("paused for over a minute, to first byte", "ms", wakes, null),
  ];
}

const figure = (label: string, unit: Unit, values: number[], target: number | null): Figure => ({
  group: "power",
  unit,
  aegis: { label, values },
  raw: [],
  target,
});
