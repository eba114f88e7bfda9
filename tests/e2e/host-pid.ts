import { cgroupFile } from "./cgroup-file.ts";
import { isMicrovm } from "./driver-host.ts";
import { commandOf } from "./home-on-host.ts";

const PROGRAM = isMicrovm ? "/usr/bin/qemu-system-x86_64" : "/.aegis/tini";

/** The process that an instance's machine lives and dies with, by its number on the host. @param home of its daemon */
export function machinePid(home: string, id: string): number {
  const pids = cgroupFile(home, id, { v2: "cgroup.procs", v1: "cgroup.procs" }).split("\n").map(Number);
  const pid = pids.find((candidate) => commandOf(candidate).split(" ")[0] === PROGRAM);
  if (pid === undefined) throw new Error(`${id} runs ${pids.map(commandOf).join(" | ")}, but no ${PROGRAM}`);
  return pid;
}
