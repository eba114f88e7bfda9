import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { AegisClient } from "@aegis/sdk/client";
import type { AegisEvent } from "@aegis/protocol/event";
import type { InstanceStats } from "@aegis/protocol/instance";
import { copyProgram } from "../program-with-libraries.ts";
import { SwapFile } from "../swap-file.ts";
import { writeTestImage } from "../test-image.ts";
import { PORT } from "./bench-daemon.ts";
import type { BenchHost } from "./bench-host.ts";
import type { Figure, Unit } from "./figure.ts";
import { firstByte } from "./first-byte.ts";

const IMAGE = "localhost/bench-node:1";
const SERVER = `require("node:http").createServer((_, answer) => answer.end("it works")).listen(${PORT})`;
const SAMPLES = 10;
const MB = 1e6;

interface Nap {
  seq: number;
  before: InstanceStats;
  after: InstanceStats;
  tookMs: number;
  wakeMs: number;
  nextMs: number;
}

/** An idle Node server: what its pause gives back to the host, and what the first connection pays for it. */
export async function measurePowerReclaim({ daemon, signal }: BenchHost): Promise<Figure[]> {
  using swap = new SwapFile(256);
  void swap;
  const { client } = daemon;
  await importNode(client, join(daemon.folder, "node-layout"));
  const command = ["/bin/node", "-e", SERVER];
  const { id, endpoints } = await client.instances.create(daemon.spec({ image_ref: IMAGE, command, exposes: [PORT] }));
  const port = endpoints[0]?.public_port ?? 0;
  const naps: Nap[] = [];
  for (let count = 0; count < SAMPLES; count++) {
    signal.throwIfAborted();
    await firstByte(port);
    naps.push(await nap(client, id, port, naps.at(-1)?.seq ?? 0));
  }
  await client.instances.delete(id);
  return [
    figure("Node server, memory before the pause", "MB", naps, ({ before }) => before.memory_bytes / MB),
    figure("Node server, memory given back", "MB", naps, ({ after }) => after.memory_bytes / MB),
    figure("Node server, mapped before the pause", "MB", naps, ({ before }) => before.resident_bytes / MB),
    figure("Node server, mapped, given back", "MB", naps, ({ after }) => after.resident_bytes / MB),
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
async function nap(client: AegisClient, id: string, port: number, since: number): Promise<Nap> {
  const before = await statsOf(client, id);
  await client.instances.pause(id);
  const last = await nextReclaim(client, id, since);
  const after = await statsOf(client, id);
  return {
    before,
    after,
    seq: last.seq,
    tookMs: last.took_ms,
    wakeMs: await firstByte(port),
    nextMs: await firstByte(port),
  };
}

async function statsOf(client: AegisClient, id: string): Promise<InstanceStats> {
  const { stats } = await client.instances.get(id);
  if (stats === null) throw new Error(`${id} has no machine`);
  return stats;
}

type Reclaimed = Extract<AegisEvent, { type: "instance.memory" }>;

async function nextReclaim(client: AegisClient, id: string, sinceSeq: number): Promise<Reclaimed> {
  const ending = new AbortController();
  try {
    for await (const event of client.events({ sinceSeq, signal: ending.signal }))
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
