import { setTimeout as delay } from "node:timers/promises";
import { bootServer, type BenchHost } from "./bench-host.ts";
import type { Figure } from "./figure.ts";
import { firstByte } from "./first-byte.ts";
import { withRawServer } from "./raw-server.ts";
import { sample, timed } from "./sampling.ts";

const SAMPLES = 200;
/** between the pause and the connection, so that nothing of the pause is still going on */
const SETTLE_MS = 20;

/** Connect to first byte, from paused and from stopped, and the pauses themselves. */
export async function measurePowerWake(host: BenchHost): Promise<Figure[]> {
  return [...(await pauseAndWake(host)), ...(await stopAndWake(host))];
}

async function pauseAndWake(host: BenchHost): Promise<Figure[]> {
  const { raw, signal } = host;
  const { instances } = host.daemon.client;
  const { instance, port } = await bootServer(host);
  const name = "power";
  const figures = await withRawServer(raw, { name, wakes: true }, async (rawPort): Promise<Figure[]> => {
    const samplers = {
      pause: () => timed(() => instances.pause(instance.id)),
      "paused to first byte": () => delay(SETTLE_MS).then(() => firstByte(port)),
      "freezer file": () => timed(() => raw.call("freeze", { name })),
      "freezer file, plain Node proxy": () => delay(SETTLE_MS).then(() => firstByte(rawPort)),
    };
    const [pause, wake, freeze, thaw] = await sample(SAMPLES, samplers, signal);
    if (pause === undefined || wake === undefined || freeze === undefined || thaw === undefined) return [];
    return [
      { group: "power", unit: "ms", aegis: wake, raw: [thaw], target: 2.5, targetP99: 8 },
      { group: "power", unit: "ms", aegis: pause, raw: [freeze], target: null },
    ];
  });
  await instances.delete(instance.id);
  return figures;
}

async function stopAndWake(host: BenchHost): Promise<Figure[]> {
  const { instances } = host.daemon.client;
  const { instance, port } = await bootServer(host);
  const samplers = {
    "stopped to first byte": async () => {
      await instances.stop(instance.id);
      return firstByte(port);
    },
  };
  const [aegis] = await sample(SAMPLES, samplers, host.signal);
  await instances.delete(instance.id);
  return aegis === undefined ? [] : [{ group: "power", unit: "ms", aegis, raw: [], target: 300 }];
}
