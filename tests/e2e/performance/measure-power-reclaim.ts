import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { AegisClient } from "@aegis/sdk/client";
import type { AegisEvent } from "@aegis/protocol/event";
import { copyProgram } from "../program-with-libraries.ts";
import { SwapFile } from "../swap-file.ts";
import { writeTestImage } from "../test-image.ts";
import { PORT } from "./bench-daemon.ts";
import type { BenchHost } from "./bench-host.ts";
import type { Figure, Unit } from "./figure.ts";
import { firstByte } from "./first-byte.ts";
import { memoryOf, read } from "./process-memory.ts";

const IMAGE = "localhost/bench-node:1";
const SERVER = `require("node:http").createServer((_, answer) => answer.end("it works")).listen(${PORT})`;
const SAMPLES = 10;
const SETTLE_MS = 1000;
const MB = 1e6;

interface Nap {
  /** number of the event that told of it */
  seq: number;
  /** of the server's process */
  rss: { before: number; after: number };
  /** of the whole instance, as its control group counts */
  memory: { before: number; after: number };
  tookMs: number;
  wakeMs: number;
  nextMs: number;
}

/** An idle Node server: what its first pause gives back to the host, and what the first connection pays for it. */
export async function measurePowerReclaim({ daemon, signal }: BenchHost): Promise<Figure[]> {
  using swap = new SwapFile(256);
  void swap;
  const { client } = daemon;
  await importNode(client, join(daemon.folder, "node-layout"));
  const spec = daemon.spec({ image_ref: IMAGE, command: ["/bin/node", "-e", SERVER], exposes: [PORT] });
  const naps: Nap[] = [];
  for (let count = 0; count < SAMPLES; count++) {
    const { id, endpoints } = await client.instances.create(spec);
    const port = endpoints[0]?.public_port ?? 0;
    await firstByte(port);
    await delay(SETTLE_MS, undefined, { signal });
    naps.push(await nap(client, id, port, naps.at(-1)?.seq ?? 0, signal));
    await client.instances.delete(id);
  }
  return [
    figure("idle Node server, RSS", "MB", naps, ({ rss }) => rss.before),
    figure("idle Node server, RSS, given back", "MB", naps, ({ rss }) => rss.after),
    figure("its whole instance", "MB", naps, ({ memory }) => memory.before),
    figure("its whole instance, given back", "MB", naps, ({ memory }) => memory.after),
    figure("giving it back, behind everything else", "ms", naps, ({ tookMs }) => tookMs),
    figure("paused, memory given back, to first byte", "ms", naps, ({ wakeMs }) => wakeMs),
    figure("the connection after that one", "ms", naps, ({ nextMs }) => nextMs),
  ];
}

const figure = (label: string, unit: Unit, naps: Nap[], value: (nap: Nap) => number): Figure => ({
  group: "power",
  unit,
  aegis: { label, values: naps.map(value) },
  raw: [],
  target: null,
});

/** @param since number of the last event that is known */
async function nap(client: AegisClient, id: string, port: number, since: number, signal: AbortSignal): Promise<Nap> {
  const pid = serverPid(id);
  const before = memoryOf(pid).rss;
  await client.instances.pause(id);
  const { seq, took_ms: tookMs, before_bytes, after_bytes } = await nextReclaim(client, id, since, signal);
  const rss = { before, after: memoryOf(pid).rss };
  const memory = { before: before_bytes / MB, after: after_bytes / MB };
  return { seq, rss, memory, tookMs, wakeMs: await firstByte(port), nextMs: await firstByte(port) };
}

/** The process of the workload: nothing else in the instance has the server's text in its command line. */
function serverPid(instanceId: string): number {
  const names = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const pid = names.find(
    (name) => read(`/proc/${name}/cmdline`).includes(SERVER) && read(`/proc/${name}/cgroup`).includes(instanceId),
  );
  if (pid === undefined) throw new Error(`${instanceId} runs no server`);
  return Number(pid);
}

type Reclaimed = Extract<AegisEvent, { type: "instance.memory" }>;

async function nextReclaim(client: AegisClient, id: string, sinceSeq: number, signal: AbortSignal): Promise<Reclaimed> {
  const ending = new AbortController();
  try {
    for await (const event of client.events({ sinceSeq, signal: AbortSignal.any([signal, ending.signal]) }))
      if (event.type === "instance.memory" && event.instance_id === id) return event;
  } finally {
    ending.abort();
  }
  throw new Error("the events ended");
}

/** The Node that runs the bench, alone in an image. */
async function importNode(client: AegisClient, layout: string): Promise<void> {
  mkdirSync(layout);
  await writeTestImage(layout, [{ fill: (folder) => copyProgram(folder, process.execPath, "bin/node") }]);
  for await (const step of client.images.pull({ ref: IMAGE, layout })) void step;
  rmSync(layout, { recursive: true });
}
