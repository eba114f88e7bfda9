import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MemoryFolder } from "../../../src/drivers/linux/memory-group.ts";

const V1_USAGE = "memory.usage_in_bytes";
const V2_USAGE = "memory.current";

/** A folder like a memory control group's, with a kernel that swaps out what it is asked to. */
export class FakeMemoryFolder extends MemoryFolder {
  readonly folder: string;
  /** what cannot be swapped out */
  fixed = 0;
  /** called before each write, with what is written */
  onWrite: (file: string, value: string) => Promise<void> | void = () => undefined;
  readonly written: string[] = [];

  constructor(version: "v1" | "v2", folder: string, usage: number, files: Record<string, string> = {}) {
    super(version, folder);
    this.folder = folder;
    const all = { [version === "v1" ? V1_USAGE : V2_USAGE]: String(usage), ...files };
    for (const [name, value] of Object.entries(all)) writeFileSync(join(folder, name), `${value}\n`);
  }

  now(file: string): string {
    return readFileSync(join(this.folder, file), "utf8").trim();
  }

  override async write(file: string, value: string): Promise<void> {
    await this.onWrite(file, value);
    this.written.push(`${file} ${value}`);
    if (file === "memory.limit_in_bytes") this.#shrink(V1_USAGE, Number(value), "EBUSY");
    if (file === "memory.reclaim") this.#reclaim(value);
    await super.write(file, value);
  }

  #reclaim(value: string): void {
    const usage = Number(this.now(V2_USAGE));
    this.#shrink(V2_USAGE, usage - Number(value.split(" ")[0]), "EAGAIN");
  }

  /** Like the kernel: as far as it goes, and an error when that is not far enough. */
  #shrink(file: string, wanted: number, code: string): void {
    const usage = Number(this.now(file));
    if (wanted >= usage) return;
    writeFileSync(join(this.folder, file), String(Math.max(wanted, this.fixed)));
    if (wanted < this.fixed) throw withCode(code);
  }
}

export const withCode = (code: string): Error => Object.assign(new Error(code), { code });
