import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

/**
 * The memory of the daemon holds keys, and that of instances the secrets that they were given: neither is to end in a
 * core file, or with whoever collects them. What this process starts inherits it.
 */
export function preventCoreDumps(warn: (message: string) => void): void {
  try {
    // no memory goes into a dump, whatever makes one
    writeFileSync("/proc/self/coredump_filter", "0");
    // a limit of 0 would not hold for a handler behind a pipe; one of 1 byte holds for that and is too little for a file
    if (!/^Max core file size\s+\S+\s+[01]\s/m.test(readFileSync("/proc/self/limits", "utf8")))
      execFileSync("prlimit", ["--pid", String(process.pid), "--core=1:1"]);
  } catch (error) {
    warn(`a crash of aegisd may leave its memory in a core file: ${String(error)}`);
  }
}
