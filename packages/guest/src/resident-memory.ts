import { readFileSync } from "node:fs";
import { dropPages } from "./libc.ts";
import { largestCodeMapping } from "./procfs.ts";

/** An idle harness above this gives memory back, in bytes. */
const IDLE_BYTES = 36 * 1024 * 1024;

/**
 * Gives back what only the start, or work that is over, needed: garbage, and pages of code. Most of the resident
 * memory is code that ran once; it is clean, so giving it back costs a few page faults when it runs again.
 */
export function trimMemory(): void {
  if (process.memoryUsage.rss() < IDLE_BYTES) return;
  Bun.gc(true);
  const code = largestCodeMapping(readFileSync("/proc/self/maps", "utf8"));
  if (code !== null) dropPages(code);
}
