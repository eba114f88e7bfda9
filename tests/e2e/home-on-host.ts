import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const CLAIMS = "/run/aegis/net";

/** What names a home in control groups and paths, as its daemon makes it. */
export const homeKeyOf = (home: string): string => createHash("sha256").update(home).digest("hex").slice(0, 12);

/** Where a home's machines are until the host's next boot. */
export const runFolderOf = (key: string): string => join("/run/aegis", key);

/** A home's control group in each hierarchy, also where it is not there. */
export function groupsOf(key: string): string[] {
  return textOf("/proc/self/mountinfo")
    .split("\n")
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => join(line.split(" ")[4] ?? "", "aegis", key));
}

/** Every home that has an address block on this host, by the block's number. */
export function claims(): Map<string, string> {
  const numbers = existsSync(CLAIMS) ? readdirSync(CLAIMS).filter((name) => /^\d+$/.test(name)) : [];
  return new Map(numbers.map((number) => [number, textOf(join(CLAIMS, number))]));
}

/** The number of a home's address block; null while it has none. */
export const blockOf = (home: string): string | null => [...claims()].find(([, owner]) => owner === home)?.[0] ?? null;

/** Every process of the host. */
export const pids = (): number[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

/** What a process is called with; empty for one that has ended. */
export const commandOf = (pid: number): string => textOf(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();

/** Whether a process has ended, also where nobody has asked how. */
export const hasEnded = (pid: number): boolean => /^$|\) [ZX] /.test(textOf(`/proc/${pid}/stat`));

/** Tells a process to end; one that has ended since it was looked for is as it should be. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** A file of the kernel's or a daemon's; empty when it has just gone. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
