import { createHash } from "node:crypto";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import { exists } from "../linux/cgroup-layout.ts";
import { diskFull, saysDiskFull } from "../linux/disk-full.ts";
import { runCommand } from "../linux/run-command.ts";

const BUILD_MS = 600_000;

/** Unpacked images as read-only disks (erofs), made once for each image. */
export class RootfsImages {
  readonly #folder: string;
  readonly #building = new Map<string, Promise<string>>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @returns the file @throws AegisError `disk_full`, `driver_failed` */
  async of(digest: string, rootfs: string): Promise<string> {
    const name = createHash("sha256").update(`${digest}\0${rootfs}`).digest("hex");
    const file = join(this.#folder, `${name}.erofs`);
    if (await exists(file)) return file;
    const building = this.#building.get(file) ?? this.#build(rootfs, file);
    this.#building.set(file, building);
    return building.finally(() => this.#building.delete(file));
  }

  async #build(rootfs: string, file: string): Promise<string> {
    await mkdir(this.#folder, { recursive: true, mode: 0o711 });
    const draft = `${file}.new`;
    try {
      await rm(draft, { force: true });
      // times of the files stay: a program that is newer than its cache would build that again at every start
      await runCommand("mkfs.erofs", ["--quiet", "-x-1", draft, rootfs], { timeoutMs: BUILD_MS });
      await rename(draft, file);
      return file;
    } catch (error) {
      await rm(draft, { force: true });
      throw asFailure(error);
    }
  }
}

function asFailure(error: unknown): unknown {
  const why = error instanceof Error ? error.message : String(error);
  if (saysDiskFull(why)) return diskFull(error as Error);
  return new AegisError("driver_failed", `The image cannot be made into a disk: ${why}`, { cause: error });
}
