import { randomInt } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { InstanceView } from "@aegis/protocol/instance";
import { waitForInstance } from "@aegis/sdk/instance-watch";
import { BenchDaemon, MEMORY_MB, PORT } from "./bench-daemon.ts";
import { RawRuntime } from "./raw/raw-runtime.ts";

const HARNESS_DIR = process.env["AEGIS_GUEST_DIR"] ?? fileURLToPath(new URL("../../../dist/guest", import.meta.url));

/** Both sides of every comparison, ready to be measured. */
export interface BenchHost {
  daemon: BenchDaemon;
  raw: RawRuntime;
  /** aborts when the bench is to end early */
  signal: AbortSignal;
}

/** @param opened takes what is to be closed again, also when a later step fails */
export async function openBenchHost(opened: AsyncDisposableStack, signal: AbortSignal): Promise<BenchHost> {
  const daemon = opened.use(new BenchDaemon());
  await daemon.start();
  const folder = join(daemon.folder, "raw");
  mkdirSync(folder, { mode: 0o711 });
  const setup = { folder, rootfs: daemon.rootfs, harnessDir: HARNESS_DIR, memoryMb: MEMORY_MB, port: PORT };
  const raw = opened.use(await RawRuntime.open({ ...setup, key: randomInt(1, 255) }));
  return { daemon, raw, signal };
}

/** A running instance that serves its page. */
export async function bootServer({ daemon, signal }: BenchHost): Promise<{ instance: InstanceView; port: number }> {
  const { id } = await daemon.client.instances.create(daemon.spec({ exposes: [PORT] }));
  const instance = await waitForInstance(daemon.client, id, ({ state }) => state === "running", { signal });
  const port = instance.endpoints[0]?.public_port;
  if (port === undefined) throw new Error(`${id} has no public port`);
  return { instance, port };
}
