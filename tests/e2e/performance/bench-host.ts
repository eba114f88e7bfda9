import { randomInt } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { CreatedInstance } from "@aegis/sdk/instances-api";
import { BenchDaemon, MEMORY_MB, PORT } from "./bench-daemon.ts";
import { firstByte } from "./first-byte.ts";
import { RawRuntime } from "./raw/raw-runtime.ts";

export const HARNESS_DIR =
  process.env["AEGIS_GUEST_DIR"] ?? fileURLToPath(new URL("../../../dist/guest", import.meta.url));

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

/** A running instance that has served its page once: the first connection waits for the boot. */
export async function bootServer({ daemon }: BenchHost): Promise<{ instance: CreatedInstance; port: number }> {
  const instance = await daemon.client.instances.create(daemon.spec({ exposes: [PORT] }));
  const port = instance.endpoints[0]?.public_port;
  if (port === undefined) throw new Error(`${instance.id} has no public port`);
  await firstByte(port);
  return { instance, port };
}
