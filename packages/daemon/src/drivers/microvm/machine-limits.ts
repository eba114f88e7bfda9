import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CgroupLayout } from "../linux/cgroup-layout.ts";

const PERIOD_US = 100_000;
/** threads of QEMU and virtiofsd, with room to spare */
const TASKS = 512;
/** QEMU's own threads work beside the guest's processors */
const MORE_CPU = 0.25;

/** What counts, bounds or kills; a hierarchy such as cpuset takes nobody in without settings of its own. */
const JOINED = ["memory", "pids", "cpu", "cpuacct", "freezer"];

type Files = [file: string, value: string][];
type Setting = [controller: string, v1: Files, v2: Files];

/**
 * Makes the control groups of one virtual machine and sets how much memory and how many tasks QEMU and virtiofsd may have.
 * @param path below each hierarchy's mount point
 * @returns the folders, to be joined
 */
export async function limitMachine(layout: CgroupLayout, path: string, memoryMb: number): Promise<string[]> {
  const bytes = String(memoryMb * 1024 * 1024);
  const mounts = [...JOINED.map((name) => layout.v1.get(name)), layout.v2].filter((mount) => typeof mount === "string");
  const folders = [...new Set(mounts)].map((mount) => join(mount, path));
  for (const folder of folders) await mkdir(folder, { recursive: true });
  await apply(layout, path, [
    ["memory", [["memory.limit_in_bytes", bytes]], [["memory.max", bytes]]],
    ["pids", [["pids.max", String(TASKS)]], [["pids.max", String(TASKS)]]],
  ]);
  return folders;
}

/**
 * Bounds the processors of a machine, before its guest runs: what works until then, two processes at once where a machine is
 * taken up, is the host's own, and somebody waits for it.
 */
export async function limitProcessors(layout: CgroupLayout, path: string, vcpus: number): Promise<void> {
  const quota = String(Math.round((vcpus + MORE_CPU) * PERIOD_US));
  const v1: Files = [
    ["cpu.cfs_period_us", String(PERIOD_US)],
    ["cpu.cfs_quota_us", quota],
  ];
  await apply(layout, path, [["cpu", v1, [["cpu.max", `${quota} ${PERIOD_US}`]]]]);
}

async function apply(layout: CgroupLayout, path: string, settings: Setting[]): Promise<void> {
  for (const [controller, v1, v2] of settings) {
    const mount = layout.v1.get(controller);
    const [folder, files] =
      mount === undefined ? [layout.v2Controllers.includes(controller) ? layout.v2 : null, v2] : [mount, v1];
    if (folder === null) continue;
    for (const [file, value] of files) await writeFile(join(folder, path, file), value);
  }
}
