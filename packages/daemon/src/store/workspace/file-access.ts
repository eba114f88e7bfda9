import type { Stats } from "node:fs";
import { AegisError } from "@aegis/protocol/errors";
import type { Owner } from "../workspace-folders.ts";

/**
 * The daemon may be root; its caller is the owner of the workspace or an instance, and gets no further than the owner
 * would alone. What an instance makes belongs to the owner.
 */
export class FileAccess {
  readonly #owner: Owner;

  constructor(owner: Owner) {
    this.#owner = owner;
  }

  get owner(): Owner {
    return this.#owner;
  }

  mayRead(stats: Stats): boolean {
    return this.#allows(stats, stats.isDirectory() ? 0o5 : 0o4);
  }

  /** @throws AegisError `forbidden` */
  checkRead(stats: Stats, path: string): void {
    if (!this.mayRead(stats)) throw refused(path, "read", stats);
  }

  /** @throws AegisError `forbidden` */
  checkEnter(stats: Stats, path: string): void {
    if (!this.#allows(stats, 0o1)) throw refused(path, "entered", stats);
  }

  /** @throws AegisError `forbidden` */
  checkChange(folder: Stats, path: string): void {
    if (!this.#allows(folder, 0o3)) throw refused(path, "changed", folder);
  }

  /** An owner may always give the missing bits to himself. */
  #allows(stats: Stats, bits: number): boolean {
    return this.#owner.uid === 0 || stats.uid === this.#owner.uid || (stats.mode & bits) === bits;
  }
}

const refused = (path: string, verb: string, { uid }: Stats): AegisError =>
  new AegisError(
    "forbidden",
    `${JSON.stringify(path)} in the workspace belongs to another user (uid ${uid}) and may not be ${verb}. Change its owner or its permissions on the host.`,
  );
