import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Which sandboxes there have been: one that is known here and not to the host is gone for good. Written whole or not at all. */
export class SandboxStore {
  readonly #path: string;
  readonly #ids: Map<string, string>;

  constructor(path: string) {
    this.#path = path;
    this.#ids = load(path);
  }

  /** @returns the instance's id */
  idOf(handle: string): string | null {
    return this.#ids.get(handle) ?? null;
  }

  add(handle: string, id: string): void {
    this.#ids.set(handle, id);
    this.#save();
  }

  forget(handle: string): void {
    if (this.#ids.delete(handle)) this.#save();
  }

  #save(): void {
    mkdirSync(dirname(this.#path), { recursive: true });
    const next = `${this.#path}.next`;
    writeFileSync(next, JSON.stringify(Object.fromEntries(this.#ids), null, 1), { mode: 0o600 });
    renameSync(next, this.#path);
  }
}

/** An unreadable file counts as none: what exists is then found by its handle. */
function load(path: string): Map<string, string> {
  try {
    const file: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof file !== "object" || file === null) return new Map();
    return new Map(Object.entries(file).filter((entry): entry is [string, string] => typeof entry[1] === "string"));
  } catch (error) {
    if (error instanceof SyntaxError || (error instanceof Error && "code" in error && error.code === "ENOENT"))
      return new Map();
    throw error;
  }
}
