import { readFileSync } from "node:fs";

/** What the system gives where nothing is said. */
const USUAL = 1024;

/** How many files and sockets this process may have open. */
export function descriptorLimit(): number {
  const limits = readFileSync("/proc/self/limits", "utf8");
  return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? USUAL);
}
