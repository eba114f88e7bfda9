import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import { KEY_BYTES, MasterKey } from "./master-key.ts";

interface Owner {
  uid: number;
  gid: number;
}

/** A file of mode 0600 with a master key, whole or not there. */
export class KeyFile {
  readonly #path: string;
  readonly #owner: Owner;

  constructor(path: string, owner: Owner) {
    this.#path = path;
    this.#owner = owner;
  }

  /**
   * Null when there is none.
   * @throws AegisError `internal` when others can read or replace it, or it is not a key
   */
  read(): MasterKey | null {
    if (!existsSync(this.#path)) return null;
    const fd = openSync(this.#path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      this.#check(fd);
      const key = Buffer.from(readFileSync(fd, "utf8").trim(), "base64");
      if (key.length === KEY_BYTES) return new MasterKey(key);
    } finally {
      closeSync(fd);
    }
    throw refused(this.#path, "is damaged. Restore it from a backup: without it the secrets are lost.");
  }

  /** Writes a fresh key, on disk when this returns. What was there is gone. */
  create(): MasterKey {
    const key = randomBytes(KEY_BYTES);
    const draft = `${this.#path}.${process.pid}`;
    rmSync(draft, { force: true });
    const fd = openSync(draft, "wx", 0o600);
    try {
      fchmodSync(fd, 0o600);
      fchownSync(fd, this.#owner.uid, this.#owner.gid);
      writeSync(fd, `${key.toString("base64")}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(draft, this.#path);
    syncFolderOf(this.#path);
    return new MasterKey(key);
  }

  /** Takes the place of another one, which is gone then, on disk too. */
  replace({ path }: { path: string }): void {
    renameSync(this.#path, path);
    syncFolderOf(path);
  }

  remove(): void {
    rmSync(this.#path, { force: true });
  }

  get path(): string {
    return this.#path;
  }

  #check(fd: number): void {
    const { mode, uid } = fstatSync(fd);
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) throw refused(this.#path, "is no plain file.");
    if ((mode & 0o077) !== 0) throw refused(this.#path, `can be read by others. Fix it with: chmod 600 ${this.#path}`);
    if (uid !== 0 && uid !== this.#owner.uid)
      throw refused(
        this.#path,
        `belongs to another user (${uid}). If it is the right one: chown ${this.#owner.uid} ${this.#path}`,
      );
  }
}

const refused = (path: string, why: string) => new AegisError("internal", `The key file ${path} ${why}`);

function syncFolderOf(path: string): void {
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
