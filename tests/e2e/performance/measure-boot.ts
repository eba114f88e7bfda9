import { COMMAND, READY } from "./bench-daemon.ts";
import type { BenchHost } from "./bench-host.ts";
import type { Figure } from "./figure.ts";
import { sample } from "./sampling.ts";
import { StateWatch } from "./state-watch.ts";

const SAMPLES = 40;

/** From the request to a workload that runs: when the daemon says so, and when its first line is here. */
export async function measureBoot(host: BenchHost): Promise<Figure[]> {
  const { raw, signal } = host;
  using states = new StateWatch(host.daemon.client);
  const running: number[] = [];
  const label = "create to the workload's first line";
  const overlay = "crun run --detach, overlay and network by hand";
  const [aegis, byHand] = await sample(
    SAMPLES,
    {
      [label]: () => bootOnce(host, states, running),
      [overlay]: async () => {
        await raw.call("prepare", { name: "boot", runtime: "crun", command: COMMAND });
        const took = await raw.call("boot", { name: "boot" });
        await raw.call("remove", { name: "boot" });
        return took;
      },
    },
    signal,
  );
  if (aegis === undefined || byHand === undefined) return [];
  const saysRunning = { label: "create to state running", values: running.slice(-SAMPLES) };
  return [
    { group: "boot", unit: "ms", aegis, raw: [byHand], target: 150 },
    { group: "boot", unit: "ms", aegis: saysRunning, raw: [], target: 150 },
  ];
}

async function bootOnce({ daemon }: BenchHost, states: StateWatch, running: number[]): Promise<number> {
  const { instances } = daemon.client;
  const start = performance.now();
  const { id } = await instances.create(daemon.spec());
  const says = states.reached(id, "running").then(() => running.push(performance.now() - start));
  for await (const { line, source } of instances.logs(id, { follow: true }))
    if (source === "boot" && line === READY) break;
  const took = performance.now() - start;
  await says;
  await instances.delete(id);
  return took;
}
