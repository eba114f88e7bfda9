import { readFileSync } from "node:fs";

const KB = 1024;

export interface SwapSpace {
  /** all of it, in bytes; zram counts */
  total: number;
  used: number;
}

/** What the kernel swaps to right now: files, partitions and zram are switched on and off while the daemon runs. */
export function readSwapSpace(file = "/proc/swaps"): SwapSpace {
  const space = { total: 0, used: 0 };
  for (const line of readFileSync(file, "utf8").split("\n").slice(1)) {
    const [total, used] = line.trim().split(/\s+/).slice(2).map(Number);
    if (total === undefined || used === undefined) continue;
    space.total += total * KB;
    space.used += used * KB;
  }
  return space;
}
