import { randomUUID } from "node:crypto";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import { exists } from "../linux/cgroup-layout.ts";
import { diskFull, saysDiskFull } from "../linux/disk-full.ts";
import { runCommand } from "../linux/run-command.ts";

const BUILD_MS = 600_000;
const FILE = "rootfs.erofs";

/** Unpacked images as read-only disks (erofs), made once for each image and kept with it. */
export class RootfsImages {
  readonly #building = new Map<string, Promise<string>>();

  /** @param folder of what is made of the image @returns the file @throws AegisError `disk_full`, `driver_failed` */
  async of(folder: string, rootfs: string): Promise<string> {
    const file = join(folder, FILE);
    if (await exists(file)) return file;
    const building = this.#building.get(file) ?? build(folder, rootfs, file);
    this.#building.set(file, building);
    return building.finally(() => this.#building.delete(file));
  }
}

/** Another home may do the same at the same time: whoever is last has made no other. */
async function build(folder: string, rootfs: string, file: string): Promise<string> {
  const draft = `${file}.${randomUUID()}`;
  try {
    await mkdir(folder, { recursive: true });
    // times of the files stay: a program that is newer than its cache would build that again at every start
    await runCommand("mkfs.erofs", ["--quiet", "-x-1", draft, rootfs], { timeoutMs: BUILD_MS });
    await rename(draft, file);
    return file;
  } catch (error) {
    await rm(draft, { force: true });
    throw asFailure(error);
  }
}

function asFailure(error: unknown): unknown {
  const why = error instanceof Error ? error.message : String(error);
  if (saysDiskFull(why)) return diskFull(error as Error);
  return new AegisError("driver_failed", `The image cannot be made into a disk: ${why}`, { cause: error });
}
