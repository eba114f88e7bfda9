import { COMMAND } from "./bench-daemon.ts";
import { bootServer, type BenchHost } from "./bench-host.ts";
import type { Figure } from "./figure.ts";
import { sample, timed } from "./sampling.ts";

const SAMPLES = 20;

/** How long a running instance takes to end, until the answer to the request. */
export async function measureEnd(host: BenchHost): Promise<Figure[]> {
  const { instances } = host.daemon.client;
  const ended = async (end: (id: string) => Promise<void>): Promise<number> => {
    const { instance } = await bootServer(host);
    const took = await timed(() => end(instance.id));
    if (end !== remove) await remove(instance.id);
    return took;
  };
  const stop = (id: string) => instances.stop(id);
  const remove = (id: string) => instances.delete(id);
  const byHand = async (how: "stop" | "remove"): Promise<number> => {
    await host.raw.call("prepare", { name: "end", runtime: "crun", command: COMMAND });
    await host.raw.call("boot", { name: "end" });
    const took = await host.raw.call(how, { name: "end" });
    if (how === "stop") await host.raw.call("remove", { name: "end" });
    return took;
  };
  const samplers = {
    "stop of a running instance": () => ended(stop),
    "crun kill TERM, wait, crun delete": () => byHand("stop"),
    "delete of a running instance": () => ended(remove),
    "crun delete --force, rm": () => byHand("remove"),
  };
  const [stopped, rawStop, deleted, rawDelete] = await sample(SAMPLES, samplers, host.signal);
  if (stopped === undefined || rawStop === undefined || deleted === undefined || rawDelete === undefined) return [];
  return [
    { group: "end", unit: "ms", aegis: stopped, raw: [rawStop], target: null },
    { group: "end", unit: "ms", aegis: deleted, raw: [rawDelete], target: null },
  ];
}
