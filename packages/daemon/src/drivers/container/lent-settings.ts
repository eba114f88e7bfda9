import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import Type from "typebox";
import { Check } from "typebox/value";
import { errorCode, type MemoryGroup } from "../linux/memory-group.ts";

const FILE = "reclaim.json";
const Settings = Type.Record(Type.String(), Type.String());

/**
 * Settings of a memory group that are changed for a while. What they were is in a file beside the machine, so that also
 * a daemon that comes after a crash can put them back.
 */
export class LentSettings {
  readonly #group: MemoryGroup;
  readonly #path: string;

  /** @param folder of the machine's boot */
  constructor(group: MemoryGroup, folder: string) {
    this.#group = group;
    this.#path = join(folder, FILE);
  }

  /** Notes the values of these files, as far as they are there. What was lent before, and never put back, is now. */
  async note(files: readonly string[]): Promise<void> {
    await this.restore();
    const values: Record<string, string> = {};
    for (const file of files) {
      const value = await this.#group.read(file);
      if (value !== null) values[file] = value;
    }
    await writeFile(`${this.#path}.new`, JSON.stringify(values), { mode: 0o600 });
    await rename(`${this.#path}.new`, this.#path);
  }

  /** Puts back what was noted, if anything was; idempotent. A group that is gone needs nothing. */
  async restore(): Promise<void> {
    const text = await readFile(this.#path, "utf8").catch(() => null);
    if (text === null) return;
    const values: unknown = JSON.parse(text);
    if (!Check(Settings, values)) throw new Error(`${this.#path} is broken`);
    for (const [file, value] of Object.entries(values))
      await this.#group.write(file, value).catch((error: unknown) => {
        if (errorCode(error) !== "ENOENT" && errorCode(error) !== "ENODEV") throw error;
      });
    await rm(this.#path, { force: true });
  }
}
