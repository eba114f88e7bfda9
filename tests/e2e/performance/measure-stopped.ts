import { COMMAND } from "./bench-daemon.ts";
import { bootServer, type BenchHost } from "./bench-host.ts";
import type { Figure } from "./figure.ts";
import { firstByte } from "./first-byte.ts";
import { sample } from "./sampling.ts";

const SAMPLES = 40;

/** Connect to a stopped instance's public port, which boots it, to the first byte of the page. */
export async function measureStopped(host: BenchHost): Promise<Figure[]> {
  const { instances } = host.daemon.client;
  const { instance, port } = await bootServer(host);
  const samplers = {
    "stopped to first byte": async () => {
      await instances.stop(instance.id);
      return firstByte(port);
    },
    "crun run by hand, then connect": async () => {
      await host.raw.call("prepare", { name: "stopped", runtime: "crun", command: COMMAND });
      const took = await host.raw.call("bootToFirstByte", { name: "stopped" });
      await host.raw.call("remove", { name: "stopped" });
      return took;
    },
  };
  const [aegis, ...raw] = await sample(SAMPLES, samplers, host.signal);
  await instances.delete(instance.id);
  return aegis === undefined ? [] : [{ group: "stopped", unit: "ms", aegis, raw, target: 300 }];
}
