import { cgroupFile } from "./cgroup-file.ts";
import { isMicrovm } from "./driver-host.ts";
import { commandOf } from "./home-on-host.ts";

/** The process of an instance that runs `command`, by its number on the host. @param home of its daemon */
export function hostPid(home: string, id: string, command: string): number {
  const pids = cgroupFile(home, id, { v2: "cgroup.procs", v1: "cgroup.procs" }).split("\n").map(Number);
  const pid = pids.find((candidate) => commandOf(candidate).split(" ")[0] === command);
  if (pid === undefined) throw new Error(`${id} runs ${pids.map(commandOf).join(" | ")}, but no ${command}`);
  return pid;
}

/** The process that an instance's machine lives and dies with. */
export const machinePid = (home: string, id: string): number =>
  hostPid(home, id, isMicrovm ? "/usr/bin/qemu-system-x86_64" : "/.aegis/tini");
