import { bootServer, type BenchHost } from "./bench-host.ts";
import type { Figure } from "./figure.ts";
import { firstByte } from "./first-byte.ts";
import { withRawServer } from "./raw-server.ts";
import { sample } from "./sampling.ts";

const SAMPLES = 300;

/** Connect to a running instance's public port, to the first byte of the page. */
export async function measureRunning(host: BenchHost): Promise<Figure[]> {
  const { instance, port } = await bootServer(host);
  const figures = await withRawServer(host.raw, { name: "running", wakes: false }, async (rawPort) => {
    const samplers = {
      "running to first byte": () => firstByte(port),
      "plain Node proxy, same server": () => firstByte(rawPort),
    };
    const [aegis, ...raw] = await sample(SAMPLES, samplers, host.signal);
    return aegis === undefined ? [] : [{ group: "running" as const, unit: "ms" as const, aegis, raw, target: 1.5 }];
  });
  await host.daemon.client.instances.delete(instance.id);
  return figures;
}
