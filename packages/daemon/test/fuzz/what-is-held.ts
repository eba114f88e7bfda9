import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { setImmediate as turn } from "node:timers/promises";

/** What this process holds: bytes in use after a collection, and resources of the event loop by kind. */
export interface Held {
  heapBytes: number;
  resources: number;
}

export async function whatIsHeld(): Promise<Held> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let round = 0; round < 3; round++) {
    await turn();
    collect();
  }
  const resources = process.getActiveResourcesInfo().filter((kind) => !["Immediate", "Timeout"].includes(kind));
  const { heapUsed, external } = process.memoryUsage();
  return { heapBytes: heapUsed + external, resources: resources.length };
}
