import { access, readFile } from "node:fs/promises";
import { join } from "node:path";

/** Where the host keeps its control groups. Hybrid hosts have both kinds. */
export interface CgroupLayout {
  /** v1 controller name to mount point; one hierarchy may carry several controllers */
  v1: ReadonlyMap<string, string>;
  /** mount point of v2, null where there is none */
  v2: string | null;
  /** controllers that v2 offers; empty for the bare v2 of a hybrid host */
  v2Controllers: readonly string[];
}

const unescape = (path: string): string =>
  path.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCodePoint(Number.parseInt(octal, 8)));

/** Reads `/proc/self/mountinfo`. */
export function parseCgroupMounts(mountinfo: string): { v1: Map<string, string>; v2: string | null } {
  const v1 = new Map<string, string>();
  let v2: string | null = null;
  for (const line of mountinfo.split("\n")) {
    const [left, right] = line.split(" - ");
    const mountPoint = left?.split(" ")[4];
    const [type, , options] = right?.split(" ") ?? [];
    if (mountPoint === undefined) continue;
    if (type === "cgroup2") v2 ??= unescape(mountPoint);
    if (type === "cgroup") for (const option of (options ?? "").split(",")) v1.set(option, unescape(mountPoint));
  }
  for (const flag of ["rw", "ro", "xattr", "clone_children", "noprefix"]) v1.delete(flag);
  return { v1, v2 };
}

export async function detectCgroupLayout(): Promise<CgroupLayout> {
  const { v1, v2 } = parseCgroupMounts(await readFile("/proc/self/mountinfo", "utf8"));
  const controllers = v2 === null ? "" : await readFile(join(v2, "cgroup.controllers"), "utf8").catch(() => "");
  return { v1, v2, v2Controllers: controllers.trim().split(/\s+/).filter(Boolean) };
}

export const isHybrid = (layout: CgroupLayout): boolean => layout.v2 !== null && layout.v1.size > 0;

export const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

export interface MemoryLimits {
  memory: boolean;
  /** swap is counted, so a limit on it holds */
  swap: boolean;
}

/** @param group a v2 group of ours, whose files show what the kernel counts (the root group's do not) */
export async function memoryLimits(layout: CgroupLayout, group: string | null): Promise<MemoryLimits> {
  const v1 = layout.v1.get("memory");
  if (v1 !== undefined) return { memory: true, swap: await exists(join(v1, "memory.memsw.limit_in_bytes")) };
  if (group === null || !layout.v2Controllers.includes("memory")) return { memory: false, swap: false };
  return { memory: true, swap: await exists(join(group, "memory.swap.max")) };
}
