import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CgroupLayout } from "../linux/cgroup-layout.ts";

export interface MachineLimits {
  memoryMb: number;
  vcpus: number;
}

const PERIOD_US = 100_000;
/** threads of QEMU and virtiofsd, with room to spare */
const TASKS = 512;
/** QEMU's own threads work beside the guest's processors */
const MORE_CPU = 0.25;

/** What counts, bounds or kills; a hierarchy such as cpuset takes nobody in without settings of its own. */
const JOINED = ["memory", "pids", "cpu", "cpuacct", "freezer"];

/**
 * Makes the control groups of one virtual machine and sets what QEMU and virtiofsd may use of the host at most.
 * @param path below each hierarchy's mount point
 * @returns the folders, to be joined
 */
export async function limitMachine(layout: CgroupLayout, path: string, limits: MachineLimits): Promise<string[]> {
  const bytes = String(limits.memoryMb * 1024 * 1024);
  const quota = String(Math.round((limits.vcpus + MORE_CPU) * PERIOD_US));
  const settings: [controller: string, v1: [file: string, value: string][], v2: [file: string, value: string][]][] = [
    ["memory", [["memory.limit_in_bytes", bytes]], [["memory.max", bytes]]],
    ["pids", [["pids.max", String(TASKS)]], [["pids.max", String(TASKS)]]],
    [
      "cpu",
      [
        ["cpu.cfs_period_us", String(PERIOD_US)],
        ["cpu.cfs_quota_us", quota],
      ],
      [["cpu.max", `${quota} ${PERIOD_US}`]],
    ],
  ];
  const mounts = [...JOINED.map((name) => layout.v1.get(name)), layout.v2].filter((mount) => typeof mount === "string");
  const folders = [...new Set(mounts)].map((mount) => join(mount, path));
  for (const folder of folders) await mkdir(folder, { recursive: true });
  for (const [controller, v1, v2] of settings) {
    const mount = layout.v1.get(controller);
    const [folder, files] =
      mount === undefined ? [layout.v2Controllers.includes(controller) ? layout.v2 : null, v2] : [mount, v1];
    if (folder === null) continue;
    for (const [file, value] of files) await writeFile(join(folder, path, file), value);
  }
  return folders;
}
