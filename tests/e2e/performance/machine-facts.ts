import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";

export interface MachineFacts {
  cpu: string;
  cores: number;
  memoryGb: number;
  kernel: string;
  node: string;
  runtimes: string[];
  cgroups: string;
  /** of the last minute: before the first measurement and after the last */
  load: { before: number; after: number };
}

/** Call once before; what it returns is to be called once after. */
export function describeMachine(): () => MachineFacts {
  const before = loadNow();
  return () => ({
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    kernel: release(),
    node: process.version,
    runtimes: ["crun", "runc"].map(versionOf),
    cgroups: cgroupKind(),
    load: { before, after: loadNow() },
  });
}

export const renderMachine = ({ cpu, cores, memoryGb, kernel, node, runtimes, cgroups, load }: MachineFacts): string =>
  [
    `machine: ${cpu}, ${cores} cores, ${memoryGb} GB; Linux ${kernel}, ${cgroups}`,
    `with:    ${runtimes.join(", ")}, Node ${node}`,
    `load:    ${load.before.toFixed(1)} before, ${load.after.toFixed(1)} after (1 minute average; the bench itself makes about 1)`,
  ].join("\n");

const loadNow = (): number => loadavg()[0] ?? Number.NaN;

function versionOf(runtime: string): string {
  try {
    return execFileSync(runtime, ["--version"], { encoding: "utf8" }).split("\n")[0] ?? runtime;
  } catch {
    return `no ${runtime}`;
  }
}

function cgroupKind(): string {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8");
  if (!mounts.includes(" - cgroup2 ")) return "cgroups v1";
  return mounts.includes(" - cgroup ") ? "hybrid cgroups" : "cgroups v2";
}
