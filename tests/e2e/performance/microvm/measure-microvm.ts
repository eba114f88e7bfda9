import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { CreatedInstance } from "@aegis/sdk/instances-api";
import { BenchDaemon, MEMORY_MB, PORT, READY } from "../bench-daemon.ts";
import { HARNESS_DIR, type BenchHost } from "../bench-host.ts";
import type { Figure, Series } from "../figure.ts";
import { firstByte } from "../first-byte.ts";
import { cpuTimeOf, memoryOf, read } from "../process-memory.ts";
import { sample, timed } from "../sampling.ts";
import { summarise } from "../statistics.ts";
import { BareQemu } from "./bare-qemu.ts";

const VM_DIR = process.env["AEGIS_VM_DIR"] ?? fileURLToPath(new URL("../../../../dist/vm", import.meta.url));
const BOOTS = 5;
const WAKES = 30;
const MOVES = 6;
const WARM_UP = 1;
const DISK_MB = 1024;
/** a host with hardware help has other targets, which no machine at hand could be held to */
const ACCELERATOR = "tcg";

/** Virtual machines under emulation, with a daemon of their own. */
export async function measureMicrovm({ signal }: BenchHost): Promise<Figure[]> {
  await using opened = new AsyncDisposableStack();
  const daemon = opened.use(new BenchDaemon({ AEGIS_DRIVER: "microvm" }));
  await daemon.start();
  const { rootfs } = daemon;
  const setup = { rootfs, harnessDir: HARNESS_DIR, vmDir: VM_DIR, memoryMb: MEMORY_MB, diskMb: DISK_MB };
  const bare = opened.use(
    await BareQemu.prepare({ ...setup, accelerator: ACCELERATOR, folder: join(daemon.folder, "bare") }),
  );
  return [...(await boots(daemon, bare, signal)), ...(await wakes(daemon, bare, signal))];
}

async function boots(daemon: BenchDaemon, bare: BareQemu, signal: AbortSignal): Promise<Figure[]> {
  const samplers = {
    [`VM by ${ACCELERATOR}, cold: create to the workload's first line`]: () => bootOnce(daemon),
    "the same VM by bare qemu, to its harness": async () => {
      const took = await bare.boot();
      await bare.end();
      return took;
    },
  };
  const [cold, byHand] = await sample(BOOTS, samplers, signal, WARM_UP);
  await daemon.client.images.warm({ ref: daemon.image, memory_mb: MEMORY_MB, disk_mb: DISK_MB });
  const [warm] = await sample(
    MOVES,
    { "warm: create to the workload's first line": () => bootOnce(daemon) },
    signal,
    1,
  );
  const target = cold === undefined ? null : Math.round(summarise(cold.values).median / 4);
  return [figure(cold, [byHand], null), figure(warm, [], target)].flat();
}

async function bootOnce(daemon: BenchDaemon): Promise<number> {
  const { instances } = daemon.client;
  const start = performance.now();
  const { id } = await instances.create(daemon.spec({ disk_mb: DISK_MB }));
  for await (const { line, source } of instances.logs(id, { follow: true }))
    if (source === "boot" && line === READY) break;
  const took = performance.now() - start;
  await instances.delete(id);
  return took;
}

async function wakes(daemon: BenchDaemon, bare: BareQemu, signal: AbortSignal): Promise<Figure[]> {
  const { instances } = daemon.client;
  const instance = await instances.create(
    daemon.spec({ disk_mb: DISK_MB, exposes: [PORT], stop_after_paused_s: null }),
  );
  const port = portOf(instance);
  await firstByte(port);
  await bare.boot();
  const [pause, resume, barePause, bareResume] = await sample(
    WAKES,
    {
      pause: () => timed(() => instances.pause(instance.id)),
      "paused to first byte": () => firstByte(port),
      "QMP stop": () => bare.pause(),
      "QMP cont, to an answer of the harness": () => bare.resume(),
    },
    signal,
  );
  const memory = [
    figure(
      series("RSS of its QEMU", memoryOf(qemuOf(instance.id)).rss),
      [series("RSS", memoryOf(bare.pid).rss)],
      null,
      "MB",
    ),
    figure(series("aegisd, RSS", memoryOf(daemon.pid).rss), [], null, "MB"),
  ];
  const daemonMs: number[] = [];
  const [down, up, bareDown, bareUp] = await sample(
    MOVES,
    {
      "hibernate, from paused": () => afterPause(daemon, instance.id),
      "hibernated to first byte": async () => {
        const before = cpuTimeOf(daemon.pid);
        const took = await firstByte(port);
        daemonMs.push(cpuTimeOf(daemon.pid) - before);
        return took;
      },
      "migrate into a file, not encrypted": () => bare.pause().then(() => bare.writeDown()),
      "the same out of the file, to its harness": () => bare.takeUp(),
    },
    signal,
    WARM_UP,
  );
  await instances.delete(instance.id);
  await bare.end();
  return [
    figure(pause, [barePause], null),
    figure(resume, [bareResume], 25),
    figure(down, [bareDown], null),
    figure(up, [bareUp], 500),
    figure({ label: "of that, CPU time of aegisd", values: daemonMs.slice(-MOVES) }, [], null),
    ...memory,
  ].flat();
}

async function afterPause({ client: { instances } }: BenchDaemon, id: string): Promise<number> {
  await instances.pause(id);
  return timed(() => instances.hibernate(id));
}

const series = (label: string, ...values: number[]): Series => ({ label, values });

function figure(
  aegis: Series | undefined,
  raw: (Series | undefined)[],
  target: number | null,
  unit: Figure["unit"] = "ms",
): Figure[] {
  if (aegis === undefined) return [];
  return [{ group: "microvm", unit, aegis, raw: raw.filter((each) => each !== undefined), target }];
}

function portOf({ id, endpoints }: CreatedInstance): number {
  const port = endpoints[0]?.public_port;
  if (port === undefined) throw new Error(`${id} has no public port`);
  return port;
}

function qemuOf(instanceId: string): number {
  const pid = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && read(`/proc/${name}/comm`).startsWith("qemu-system"))
    .find((name) => read(`/proc/${name}/cgroup`).includes(`/${instanceId}`));
  if (pid === undefined) throw new Error(`${instanceId} has no QEMU`);
  return Number(pid);
}
