import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { SerialQueue } from "../core/serial-queue.ts";
import { writeFileAtomically } from "./atomic-file.ts";

/** A home whose instances boot from the store. */
export interface ClaimingHome {
  root: string;
  /** file name that no other home has */
  key: string;
}

const STATE_FILE = "data/aegis.db";

/**
 * Which images the homes that share a store need: a file for each home with its folder, and digests and references, one a line. To be
 * changed only by who holds the store's lock.
 */
export class ImageClaims {
  readonly #folder: string;
  readonly #home: ClaimingHome | null;
  readonly #writes = new SerialQueue();
  #own: ReadonlySet<string> = new Set();
  /** what others can read */
  #written: ReadonlySet<string> = new Set();

  /** @param home null for a store of nobody: what is claimed then is known to this process alone */
  constructor(folder: string, home: ClaimingHome | null) {
    this.#folder = folder;
    this.#home = home;
  }

  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    if (this.#home !== null) this.#own = this.#written = new Set((await this.#read(this.#home.key)).claims);
  }

  /** Of this home. */
  get own(): ReadonlySet<string> {
    return this.#own;
  }

  /** True when this home claims it, and everybody can know. */
  has(claim: string): boolean {
    return this.#own.has(claim) && this.#written.has(claim);
  }

  async add(claims: Iterable<string>): Promise<void> {
    await this.replace([...this.#own, ...claims]);
  }

  async replace(claims: Iterable<string>): Promise<void> {
    this.#own = new Set(claims);
    await this.#writes.run(() => this.#write());
  }

  /** The newest there are, whoever asked first. */
  async #write(): Promise<void> {
    const own = this.#own;
    const same = own.size === this.#written.size && [...own].every((claim) => this.#written.has(claim));
    if (same) return;
    if (this.#home !== null) {
      const lines = [this.#home.root, ...[...own].toSorted()];
      await writeFileAtomically(join(this.#folder, this.#home.key), `${lines.join("\n")}\n`);
    }
    this.#written = own;
  }

  /** Of all homes. */
  async all(): Promise<Set<string>> {
    const others = await this.#others();
    return new Set([...this.#own, ...others.flatMap(({ claims }) => claims)]);
  }

  /** Folder of another home that claims such a one; null when none does. */
  async otherHome(fits: (claim: string) => boolean): Promise<string | null> {
    return (await this.#others()).find(({ claims }) => claims.some(fits))?.root ?? null;
  }

  /** A home that is there no more needs nothing. */
  async #others(): Promise<{ root: string; claims: string[] }[]> {
    const homes: { root: string; claims: string[] }[] = [];
    for (const key of await readdir(this.#folder)) {
      // a dot is in the name of a file that is being written
      if (key === this.#home?.key || key.includes(".")) continue;
      const home = await this.#read(key);
      if (existsSync(join(home.root, STATE_FILE))) homes.push(home);
      else await rm(join(this.#folder, key), { force: true });
    }
    return homes;
  }

  async #read(key: string): Promise<{ root: string; claims: string[] }> {
    const path = join(this.#folder, key);
    if (!existsSync(path)) return { root: "", claims: [] };
    const [root = "", ...claims] = (await readFile(path, "utf8")).split("\n").filter((line) => line !== "");
    return { root, claims };
  }
}
