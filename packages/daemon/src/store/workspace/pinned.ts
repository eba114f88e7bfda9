import { constants } from "node:fs";
import type { Stats } from "node:fs";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";

/** Names an inode without opening it: no pipe blocks, no device notices. Missing in Node's constants; the same on every Linux. */
const O_PATH = 0o10000000;
const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY, O_RDONLY } = constants;

/**
 * One file, folder or link, held by a descriptor: whatever is renamed or swapped meanwhile, it stays this one. Paths are
 * walked from one to the next through `/proc/self/fd`, which is what Node has for openat.
 */
export class Pinned implements AsyncDisposable {
  readonly stats: Stats;
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle, stats: Stats) {
    this.#handle = handle;
    this.stats = stats;
  }

  /** A folder of the host, by a path that no instance has a hand in. */
  static folder(path: string): Promise<Pinned> {
    return Pinned.#open(path, O_PATH | O_DIRECTORY);
  }

  static async #open(path: string, flags: number): Promise<Pinned> {
    const handle = await open(path, flags);
    try {
      return new Pinned(handle, await handle.stat());
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** @param name one component: not `.`, not `..`, no slash */
  child(name: string): Promise<Pinned> {
    return Pinned.#open(this.pathOf(name), O_PATH | O_NOFOLLOW);
  }

  /** For calls that take a path and do not follow a link in its last component. */
  pathOf(name: string): string {
    return `${this.path}/${name}`;
  }

  /** Leads to this very inode, for as long as it is held. */
  get path(): string {
    return `/proc/self/fd/${this.#handle.fd}`;
  }

  /** Only for what {@link stats} say is a plain file. */
  openForReading(): Promise<FileHandle> {
    return open(this.path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}
