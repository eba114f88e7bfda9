import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const SUFFIX = ".json";

export interface Kept {
  /** letters, digits, `-` and `_` */
  id: string;
  /** when it came, in ms since the epoch */
  at: number;
}

interface Options {
  folder: string;
  /** what is older is forgotten */
  keptMs: number;
  /** what is kept, in words: "a message on its way" */
  what: string;
  warn: (text: string) => void;
}

/** Things that a process has to end, a file for each. They outlive it. */
export class KeptFiles<T extends Kept> {
  readonly #options: Options;
  #last = 0;

  constructor(options: Options) {
    this.#options = options;
    mkdirSync(options.folder, { recursive: true, mode: 0o700 });
  }

  /** Now, or a little later: two of one millisecond keep their order. */
  now(): number {
    return (this.#last = Math.max(Date.now(), this.#last + 1));
  }

  /** On disk when it returns, unless the disk is full: that is no reason not to go on. */
  put(kept: T): void {
    const path = this.#path(kept);
    try {
      writeFileSync(`${path}.next`, JSON.stringify(kept), { mode: 0o600, flush: true });
      renameSync(`${path}.next`, path);
    } catch (error) {
      const { what, warn } = this.#options;
      warn(`${what} cannot be kept: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  remove(kept: T): void {
    rmSync(this.#path(kept), { force: true });
  }

  /** What an earlier process left behind, oldest first. */
  left(): T[] {
    const { folder } = this.#options;
    const found: T[] = [];
    for (const name of readdirSync(folder).toSorted()) {
      const kept = name.endsWith(SUFFIX) ? this.#read(join(folder, name)) : null;
      if (kept !== null && !this.isOver(kept)) found.push(kept);
      else rmSync(join(folder, name), { force: true });
    }
    return found;
  }

  isOver({ at }: T): boolean {
    return at <= Date.now() - this.#options.keptMs;
  }

  #path({ at, id }: T): string {
    return join(this.#options.folder, `${at}-${id}${SUFFIX}`);
  }

  #read(path: string): T | null {
    try {
      return JSON.parse(readFileSync(path, "utf8")) as T;
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      const { what, warn } = this.#options;
      warn(`${what} cannot be read any more: ${error.message}`);
      return null;
    }
  }
}
