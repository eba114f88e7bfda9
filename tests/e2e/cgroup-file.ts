import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { homeKeyOf } from "./home-on-host.ts";

/**
 * What a file of an instance's control group says, whichever hierarchy it lies in.
 * @param names the file's name under cgroup v2, then the one under v1
 */
export function cgroupFile(home: string, instanceId: string, names: { v2: string; v1: string }): string {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  for (const version of ["v2", "v1"] as const) {
    for (const line of mounts.filter((mount) => mount.includes(version === "v2" ? " - cgroup2 " : " - cgroup "))) {
      const file = join(line.split(" ")[4] ?? "", "aegis", homeKeyOf(home), instanceId, names[version]);
      if (existsSync(file)) return readFileSync(file, "utf8").trim();
    }
  }
  throw new Error(`the control group of ${instanceId} has neither ${names.v2} nor ${names.v1}`);
}
