import { readFileSync } from "node:fs";
import { cgroupFile } from "./cgroup-file.ts";

/** The process of an instance that runs `command`, by its number on the host. @param home of its daemon */
export function hostPid(home: string, id: string, command: string): number {
  const pids = cgroupFile(home, id, { v2: "cgroup.procs", v1: "cgroup.procs" }).split("\n").map(Number);
  const pid = pids.find((candidate) => commandOf(candidate).split(" ")[0] === command);
  if (pid === undefined) throw new Error(`${id} runs ${pids.map(commandOf).join(" | ")}, but no ${command}`);
  return pid;
}

/** Empty when there is no such process. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "";
  }
}
