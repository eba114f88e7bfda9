import { setTimeout as delay } from "node:timers/promises";
import { bootServer, type BenchHost } from "./bench-host.ts";
import type { Figure } from "./figure.ts";
import { firstByte } from "./first-byte.ts";
import { withRawServer } from "./raw-server.ts";
import { sample } from "./sampling.ts";

const SAMPLES = 100;
/** between the pause and the connection, so that nothing of the pause is still going on */
const SETTLE_MS = 20;

/** Connect to a paused instance's public port, which wakes it, to the first byte of the page. */
export async function measurePaused(host: BenchHost): Promise<Figure[]> {
  const { instances } = host.daemon.client;
  const { instance, port } = await bootServer(host);
  const name = "paused";
  const figures = await withRawServer(host.raw, { name, wakes: true }, async (rawPort) => {
    const samplers = {
      "paused to first byte": () => afterPause(() => instances.pause(instance.id), port),
      "freezer file, plain Node proxy": () => afterPause(() => host.raw.call("freeze", { name }), rawPort),
    };
    const [aegis, ...raw] = await sample(SAMPLES, samplers, host.signal);
    return aegis === undefined ? [] : [{ group: "paused" as const, unit: "ms" as const, aegis, raw, target: 5 }];
  });
  await instances.delete(instance.id);
  return figures;
}

async function afterPause(pause: () => Promise<void>, port: number): Promise<number> {
  await pause();
  await delay(SETTLE_MS);
  return firstByte(port);
}
