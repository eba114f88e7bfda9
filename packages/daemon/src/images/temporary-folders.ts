import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isAlive, ownIdentity } from "./process-identity.ts";

/** Folders for half-done work, named after the process that they belong to, so that anyone can clear up after a dead one. */
export class TemporaryFolders {
  readonly #parent: string;
  #count = 0;

  constructor(parent: string) {
    this.#parent = parent;
  }

  /** Removes what processes left that are gone. */
  async clearDead(): Promise<void> {
    await mkdir(this.#parent, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#parent)) {
      if (!(await isAlive(name))) await rm(join(this.#parent, name), { recursive: true, force: true });
    }
  }

  /** An empty folder while `work` runs. */
  async use<T>(work: (folder: string) => Promise<T>): Promise<T> {
    const folder = join(this.#parent, `${await ownIdentity()}-${process.hrtime.bigint()}-${++this.#count}`);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    try {
      return await work(folder);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}
