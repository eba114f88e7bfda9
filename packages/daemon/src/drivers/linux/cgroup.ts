import { readFileSync, writeFileSync } from "node:fs";
import { mkdir, readFile, readdir, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setImmediate, setTimeout } from "node:timers/promises";
import { AegisError } from "@aegis/protocol/errors";
import type { InstanceStats } from "@aegis/protocol/instance";
import type { CgroupLayout } from "./cgroup-layout.ts";
import { MemoryFolder, type MemoryGroup } from "./memory-group.ts";

const FREEZE_DEADLINE_MS = 10_000;
const EAGER_LOOKS = 50;
const REMOVE_LOOKS = 200;

const read = (path: string): Promise<string | null> => readFile(path, "utf8").catch(() => null);

/**
 * In this thread: the kernel answers from memory in microseconds, while the way through the thread pool would be most of
 * what a wake takes.
 */
function readNow(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

const readNumber = async (path: string): Promise<number> => Number((await read(path)) ?? 0) || 0;

/** Value of `key` in a file of `key value` lines. */
function field(text: string | null, key: string): number | null {
  const line = text?.split("\n").find((candidate) => candidate.startsWith(`${key} `));
  return line === undefined ? null : Number(line.slice(key.length + 1));
}

/** The control groups of one machine: one folder in each hierarchy of the host. */
export class Cgroup {
  /** below each hierarchy's mount point, starts with a slash */
  readonly path: string;
  readonly #layout: CgroupLayout;

  constructor(layout: CgroupLayout, path: string) {
    this.#layout = layout;
    this.path = path;
  }

  /** Folder in the v2 hierarchy, which freezes, kills and tells of the last exit, with or without controllers. */
  get v2(): string | null {
    return this.#layout.v2 === null ? null : join(this.#layout.v2, this.path);
  }

  /** Changes when the last process is gone; null where only polling tells. */
  get eventsFile(): string | null {
    return this.v2 === null ? null : join(this.v2, "cgroup.events");
  }

  /** Makes the v2 folder, so that the boot can start in it. */
  async createV2(): Promise<void> {
    if (this.v2 !== null) await mkdir(this.v2, { recursive: true });
  }

  async freeze(): Promise<void> {
    await this.#setFrozen(true);
  }

  async thaw(): Promise<void> {
    await this.#setFrozen(false);
  }

  async isFrozen(): Promise<boolean> {
    const v1 = this.#v1Freezer();
    if (this.eventsFile !== null) return field(readNow(this.eventsFile), "frozen") === 1;
    return v1 !== null && readNow(v1)?.trim() === "FROZEN";
  }

  async #setFrozen(frozen: boolean): Promise<void> {
    await this.#askFreezer(frozen);
    const deadline = Date.now() + FREEZE_DEADLINE_MS;
    for (let looks = 0; (await this.isFrozen()) !== frozen; looks++) {
      if (Date.now() > deadline) {
        if (frozen) await this.#askFreezer(false);
        throw new AegisError(
          "driver_failed",
          `The instance could not be ${frozen ? "paused" : "resumed"} within ${FREEZE_DEADLINE_MS / 1000} s: one of its processes waits in the kernel. Try again, or stop it.`,
        );
      }
      await (looks < EAGER_LOOKS ? setImmediate() : setTimeout(2));
    }
  }

  async #askFreezer(frozen: boolean): Promise<void> {
    const v1 = this.#v1Freezer();
    if (this.v2 !== null) writeFileSync(join(this.v2, "cgroup.freeze"), frozen ? "1" : "0");
    else if (v1 !== null) writeFileSync(v1, frozen ? "FROZEN" : "THAWED");
    else
      throw new AegisError(
        "driver_failed",
        "This host has no freezer cgroup. Mount cgroup v2 and start the daemon again.",
      );
  }

  #v1Freezer(): string | null {
    const mount = this.#layout.v1.get("freezer");
    return mount === undefined ? null : join(mount, this.path, "freezer.state");
  }

  /** Sends KILL to every process, frozen ones included. They may take a moment to be gone. */
  async kill(): Promise<void> {
    for (const pid of await this.processes()) killQuietly(pid);
    if (this.v2 !== null) await writeFile(join(this.v2, "cgroup.kill"), "1").catch(() => undefined);
    await this.#askFreezer(false).catch(() => undefined);
  }

  /** Host pids of all processes, in whichever hierarchy they are. */
  async processes(): Promise<number[]> {
    const lists = await Promise.all(this.#folders().map((folder) => read(join(folder, "cgroup.procs"))));
    return [...new Set(lists.flatMap((list) => (list ?? "").split("\n").filter(Boolean).map(Number)))].filter(
      (pid) => pid > 0,
    );
  }

  /** How often the kernel killed a process of the group for want of memory. */
  async outOfMemoryKills(): Promise<number> {
    const v1 = this.#v1("memory");
    const file = v1 === null ? this.v2 && join(this.v2, "memory.events") : join(v1, "memory.oom_control");
    return file === null ? 0 : (field(await read(file), "oom_kill") ?? 0);
  }

  /** How often a process of the group was refused another one. */
  async refusedProcesses(): Promise<number> {
    const group = this.#v1("pids") ?? this.v2;
    return group === null ? 0 : (field(await read(join(group, "pids.events")), "max") ?? 0);
  }

  async stats(): Promise<Omit<InstanceStats, "disk_bytes">> {
    return {
      memory_bytes: await this.#memoryBytes(),
      ...(await this.#memoryParts()),
      cpu_ms: await this.#cpuMs(),
      processes: await this.#processCount(),
    };
  }

  async #memoryBytes(): Promise<number> {
    const v1 = this.#v1("memory");
    if (v1 !== null) return readNumber(join(v1, "memory.usage_in_bytes"));
    return this.v2 === null ? 0 : readNumber(join(this.v2, "memory.current"));
  }

  async #memoryParts(): Promise<Pick<InstanceStats, "resident_bytes" | "swapped_bytes">> {
    const v1 = this.#v1("memory");
    const folder = v1 ?? this.v2;
    const stat = folder === null ? null : await read(join(folder, "memory.stat"));
    const sum = (...keys: string[]): number => keys.reduce((total, key) => total + (field(stat, key) ?? 0), 0);
    if (v1 !== null || folder === null)
      return { resident_bytes: sum("total_rss", "total_mapped_file"), swapped_bytes: sum("total_swap") };
    return {
      resident_bytes: sum("anon", "file_mapped"),
      swapped_bytes: await readNumber(join(folder, "memory.swap.current")),
    };
  }

  /** What counts the machine's memory; null where nothing does. */
  get memory(): MemoryGroup | null {
    const v1 = this.#v1("memory");
    if (v1 !== null) return new MemoryFolder("v1", v1);
    const counts = this.v2 !== null && this.#layout.v2Controllers.includes("memory");
    return counts ? new MemoryFolder("v2", this.v2) : null;
  }

  async #cpuMs(): Promise<number> {
    const v1 = this.#v1("cpuacct");
    if (v1 !== null) return Math.round((await readNumber(join(v1, "cpuacct.usage"))) / 1e6);
    const text = this.v2 === null ? null : await read(join(this.v2, "cpu.stat"));
    return Math.round((field(text, "usage_usec") ?? 0) / 1000);
  }

  async #processCount(): Promise<number> {
    const folder = this.#v1("pids") ?? this.v2;
    const procs = folder === null ? null : await read(join(folder, "cgroup.procs"));
    return (procs ?? "").split("\n").filter(Boolean).length;
  }

  #v1(controller: string): string | null {
    const mount = this.#layout.v1.get(controller);
    return mount === undefined ? null : join(mount, this.path);
  }

  #folders(): string[] {
    const mounts = new Set(this.#layout.v1.values());
    if (this.#layout.v2 !== null) mounts.add(this.#layout.v2);
    return [...mounts].map((mount) => join(mount, this.path));
  }

  /** Removes the folders; no process may be left. Idempotent. */
  async remove(): Promise<void> {
    for (const folder of this.#folders()) await removeFolder(folder);
  }

  /** Removes the folders and the ones they lie in, as far as nothing else is in them. */
  async removeIfEmpty(): Promise<void> {
    for (const folder of this.#folders())
      for (const each of [folder, dirname(folder)]) await rmdir(each).catch(() => undefined);
  }

  /** Names of the groups that lie directly in this one. */
  async children(): Promise<string[]> {
    const names = new Set<string>();
    for (const folder of this.#folders())
      for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => []))
        if (entry.isDirectory()) names.add(entry.name);
    return [...names];
  }

  child(name: string): Cgroup {
    return new Cgroup(this.#layout, `${this.path}/${name}`);
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** A group counts as busy for a moment after its last process is gone. */
async function removeFolder(folder: string): Promise<void> {
  for (let looks = 0; ; looks++) {
    const code = await rmdir(folder).then(
      () => null,
      (error: NodeJS.ErrnoException) => error.code,
    );
    if (code === null || code === "ENOENT") return;
    if (code !== "EBUSY" || looks === REMOVE_LOOKS)
      throw new AegisError("driver_failed", `The control group ${folder} cannot be removed (${code}).`);
    await setTimeout(5);
  }
}
