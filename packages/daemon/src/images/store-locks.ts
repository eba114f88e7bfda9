import { mkdir } from "node:fs/promises";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { FileLock } from "./file-lock.ts";

const SLOTS = 64;

/** The locks of a store, always taken in this order: store, pull, unpack, index. */
export class StoreLocks {
  readonly store: FileLock;
  readonly index: FileLock;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    this.store = new FileLock(join(folder, "store"));
    this.index = new FileLock(join(folder, "index"));
  }

  async create(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
  }

  /** One download of a reference at a time. */
  pull(ref: string): FileLock {
    return new FileLock(join(this.#folder, `pull-${slot(ref)}`));
  }

  /** One unpacking of an image at a time. */
  unpack(digest: string): FileLock {
    return new FileLock(join(this.#folder, `unpack-${slot(digest)}`));
  }
}

/** A few files for all names, so that they need no clearing away; names that share one just wait for each other. */
const slot = (name: string): number => createHash("sha256").update(name).digest().readUInt16BE(0) % SLOTS;
