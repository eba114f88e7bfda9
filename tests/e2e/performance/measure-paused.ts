import { setTimeout as delay } from "node:timers/promises";
import { bootServer, type BenchHost } from "./bench-host.ts";
import type { Figure } from "./figure.ts";
import { firstByte } from "./first-byte.ts";
import { withRawServer } from "./raw-server.ts";
import { sample, timed } from "./sampling.ts";

const SAMPLES = 200;
/** between the pause and the connection, so that nothing of the pause is still going on */
const SETTLE_MS = 20;

/** Connect to a paused instance's public port, which wakes it, to the first byte of the page; and the pauses before. */
export async function measurePaused(host: BenchHost): Promise<Figure[]> {
  const { raw, signal } = host;
  const { instances } = host.daemon.client;
  const { instance, port } = await bootServer(host);
  const name = "paused";
  const figures = await withRawServer(raw, { name, wakes: true }, async (rawPort): Promise<Figure[]> => {
    // one after the other, as they stand here: each wake has its pause before it
    const samplers = {
      pause: () => timed(() => instances.pause(instance.id)),
      "paused to first byte": () => delay(SETTLE_MS).then(() => firstByte(port)),
      "freezer file": () => timed(() => raw.call("freeze", { name })),
      "freezer file, plain Node proxy": () => delay(SETTLE_MS).then(() => firstByte(rawPort)),
    };
    const [pause, wake, freeze, thaw] = await sample(SAMPLES, samplers, signal);
    if (pause === undefined || wake === undefined || freeze === undefined || thaw === undefined) return [];
    return [
      { group: "paused", unit: "ms", aegis: wake, raw: [thaw], target: 2.5, targetP99: 8 },
      { group: "paused", unit: "ms", aegis: pause, raw: [freeze], target: null },
    ];
  });
  await instances.delete(instance.id);
  return figures;
}
