import { randomUUID } from "node:crypto";
import { link, mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import { exists } from "../cgroup-layout.ts";

/** Says which home uses which address block: one file a block, named by its number, holding the home's path. */
export class BlockClaims {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * The home's block: the one it has, else a free one, else one whose home is gone.
   * @param isBusy true for a block that somebody uses without a claim
   * @throws AegisError `driver_failed` when every block is in use
   */
  async claim(home: string, blocks: number, isBusy: (number: number) => boolean = () => false): Promise<number> {
    await mkdir(this.#folder, { recursive: true, mode: 0o755 });
    const owners = await this.#owners();
    for (const [number, owner] of owners) if (owner === home && number < blocks) return number;
    for (let number = 0; number < blocks; number++) {
      if (isBusy(number)) continue;
      const owner = owners.get(number);
      if (owner !== undefined && ((await exists(owner)) || !(await this.#withdraw(number, owner)))) continue;
      if (await this.#take(number, home)) return number;
    }
    throw new AegisError(
      "driver_failed",
      `All ${blocks} address blocks are used by other homes (see ${this.#folder}). Stop another daemon and its instances, or set AEGIS_SUBNET to a larger network.`,
    );
  }

  async release(home: string): Promise<void> {
    for (const [number, owner] of await this.#owners()) if (owner === home) await this.#withdraw(number, owner);
  }

  /** True while any home has a block. */
  async inUse(): Promise<boolean> {
    return (await this.#owners()).size > 0;
  }

  async #owners(): Promise<Map<number, string>> {
    const owners = new Map<number, string>();
    for (const name of await readdir(this.#folder).catch(() => [])) {
      if (!/^\d+$/.test(name)) continue;
      const owner = await readFile(join(this.#folder, name), "utf8").catch(() => null);
      if (owner !== null) owners.set(Number(name), owner);
    }
    return owners;
  }

  /** A link either appears whole or not at all, so nobody reads half a claim and two daemons never both succeed. */
  async #take(number: number, home: string): Promise<boolean> {
    const draft = this.#aside("new");
    try {
      await writeFile(draft, home);
      await link(draft, join(this.#folder, String(number)));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
      throw error;
    } finally {
      await rm(draft, { force: true });
    }
  }

  /** Removes a claim if it is still the one that was read: another daemon may have been quicker. */
  async #withdraw(number: number, owner: string): Promise<boolean> {
    const claim = join(this.#folder, String(number));
    const aside = this.#aside("old");
    const moved = await rename(claim, aside).then(
      () => true,
      () => false,
    );
    if (!moved) return false;
    const same = (await readFile(aside, "utf8")) === owner;
    if (!same) await link(aside, claim).catch(() => undefined);
    await rm(aside, { force: true });
    return same;
  }

  /** A file that only the caller knows: several homes may look for a block at once, also in one process. */
  #aside(what: "new" | "old"): string {
    return join(this.#folder, `${what}.${randomUUID()}`);
  }
}
