import { constants } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { exists } from "./cgroup-layout.ts";

/** The control group that counts the memory of one machine. */
export interface MemoryGroup {
  readonly version: "v1" | "v2";
  has(file: string): Promise<boolean>;
  /** @returns null when there is no such file */
  read(file: string): Promise<string | null>;
  write(file: string, value: string): Promise<void>;
}

export class MemoryFolder implements MemoryGroup {
  readonly version: "v1" | "v2";
  readonly #folder: string;

  constructor(version: "v1" | "v2", folder: string) {
    this.version = version;
    this.#folder = folder;
  }

  has(file: string): Promise<boolean> {
    return exists(join(this.#folder, file));
  }

  async read(file: string): Promise<string | null> {
    const text = await readFile(join(this.#folder, file), "utf8").catch(() => null);
    return text?.trim() ?? null;
  }

  /** Never makes the file: one that is not there belongs to a group that is gone, or to another kernel. */
  async write(file: string, value: string): Promise<void> {
    await writeFile(join(this.#folder, file), value, { flag: constants.O_WRONLY | constants.O_TRUNC });
  }
}

export const errorCode = (error: unknown): unknown =>
  error instanceof Error && "code" in error ? error.code : undefined;
