import { chmodSync, chownSync, closeSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

const NAME = /^audit-(\d{12})\.ndjson$/;

/** The files of the audit log, named for the number of their first entry: `audit-000000000001.ndjson`. */
export class AuditFolder {
  readonly #root: string;
  readonly #owner: { uid: number; gid: number };

  constructor(root: string, owner: { uid: number; gid: number }) {
    this.#root = root;
    this.#owner = owner;
  }

  make(): void {
    if (mkdirSync(this.#root, { recursive: true, mode: 0o700 }) === undefined) return;
    chmodSync(this.#root, 0o700);
    chownSync(this.#root, this.#owner.uid, this.#owner.gid);
  }

  /** first numbers, ascending */
  files(): number[] {
    return readdirSync(this.#root)
      .flatMap((name) => NAME.exec(name)?.[1] ?? [])
      .map(Number)
      .toSorted((a, b) => a - b);
  }

  path(firstSeq: number): string {
    return join(this.#root, `audit-${String(firstSeq).padStart(12, "0")}.ndjson`);
  }

  /** Opens a file to append to it and to nothing else; one that is not there is made, and stays after a power cut. */
  open(firstSeq: number): number {
    const fd = openSync(this.path(firstSeq), "a+", 0o600);
    chownSync(this.path(firstSeq), this.#owner.uid, this.#owner.gid);
    const folder = openSync(this.#root, "r");
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
    return fd;
  }

  /** Removes the oldest ones. */
  keep(count: number): void {
    for (const firstSeq of this.files().slice(0, -count)) rmSync(this.path(firstSeq), { force: true });
  }
}
