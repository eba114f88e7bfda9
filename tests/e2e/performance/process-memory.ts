import { readdirSync, readFileSync } from "node:fs";

const BYTES_PER_KB = 1024;
const MS_PER_TICK = 10;
const HARNESS = "/.aegis/aegis-guest\0harness";

export interface ProcessMemory {
  rss: number;
  /** shared pages count in parts: what the process adds to the machine's use */
  pss: number;
  privateDirty: number;
}

/** In MB of a million bytes. */
export function memoryOf(pid: number): ProcessMemory {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return {
    rss: megabytes(status, "VmRSS"),
    pss: megabytes(rollup, "Pss"),
    privateDirty: megabytes(rollup, "Private_Dirty"),
  };
}

function megabytes(text: string, field: string): number {
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text)?.[1];
  if (kilobytes === undefined) throw new Error(`the kernel tells no ${field}`);
  return (Number(kilobytes) * BYTES_PER_KB) / 1e6;
}

/** Time that the process has had of a CPU, in ms. */
export function cpuTimeOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

/** The harnesses of these instances, found by their control groups. */
export function harnessPids(instanceIds: readonly string[]): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && read(`/proc/${name}/cmdline`).includes(HARNESS))
    .filter((name) => instanceIds.some((id) => read(`/proc/${name}/cgroup`).includes(`/${id}`)))
    .filter((name) => !read(`/proc/${name}/comm`).startsWith("tini"))
    .map(Number);
}

/** A process that ends meanwhile is none of ours. */
export function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
