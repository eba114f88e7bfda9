import { execFile } from "node:child_process";
import { existsSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import type { DiskGauge, DiskSpace } from "../core/disk-watch.ts";

const run = promisify(execFile);

export interface DiskFolders {
  /** what the daemon writes to; one that is not there yet counts as its parent */
  written: readonly string[];
  /** what is measured */
  owned: readonly string[];
}

/** The file systems that hold a home and its images. */
export class FolderGauge implements DiskGauge {
  readonly #folders: DiskFolders;

  constructor(folders: DiskFolders) {
    this.#folders = folders;
  }

  space(): DiskSpace {
    const [first, ...others] = this.#folders.written.map(spaceOf);
    if (first === undefined) throw new Error("no folder to look at");
    return others.reduce((least, other) => (other.freeBytes < least.freeBytes ? other : least), first);
  }

  /** With the least claim to CPU and disk; what goes away meanwhile does not matter. */
  async measure(): Promise<number> {
    const owned = this.#folders.owned.filter((folder) => existsSync(folder));
    if (owned.length === 0) return 0;
    const du = ["du", "--summarize", "--one-file-system", "--block-size=1", "--", ...owned];
    const { stdout } = await run("nice", ["-n", "19", ...du]).catch(partly);
    return stdout.split("\n").reduce((sum, line) => sum + (Number.parseInt(line, 10) || 0), 0);
  }
}

/** du measures the rest when a file has just gone, and ends with an error. */
function partly(error: unknown): { stdout: string } {
  if (error instanceof Error && "stdout" in error && typeof error.stdout === "string" && error.stdout !== "")
    return { stdout: error.stdout };
  throw error;
}

function spaceOf(folder: string): DiskSpace {
  let path = folder;
  while (!existsSync(path)) path = dirname(path);
  const { bavail, bsize, blocks } = statfsSync(path);
  return { path: folder, freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}
