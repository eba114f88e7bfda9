import type { Stats } from "node:fs";
import { lstat, opendir } from "node:fs/promises";
import type { WorkspaceEntry, WorkspaceTree } from "@aegis/protocol/workspace";
import type { TreeQuery } from "../../core/workspace-files.ts";
import type { FileAccess } from "./file-access.ts";
import type { Pinned } from "./pinned.ts";

/** Names that one listing looks at, of all its folders together: a guest may make millions. */
const MAX_NAMES = 100_000;

/** Lists a folder and what is below it, up to the limits of the query; says so when there is more. */
export class TreeListing {
  readonly #access: FileAccess;
  readonly #query: TreeQuery;
  readonly #signal: AbortSignal;
  readonly #entries: WorkspaceEntry[] = [];
  #namesLeft = MAX_NAMES;
  #truncated = false;

  constructor(access: FileAccess, query: TreeQuery, signal: AbortSignal) {
    this.#access = access;
    this.#query = query;
    this.#signal = signal;
  }

  async of(folder: Pinned, path: string): Promise<WorkspaceTree> {
    await this.#list(folder, path, this.#query.depth);
    return { path, entries: this.#entries, truncated: this.#truncated };
  }

  async #list(folder: Pinned, path: string, depth: number): Promise<void> {
    if (!this.#access.mayRead(folder.stats)) return;
    for (const name of await this.#names(folder)) {
      this.#signal.throwIfAborted();
      if (this.#entries.length >= this.#query.limit) return void (this.#truncated = true);
      const stats = await lstat(folder.pathOf(name)).catch(() => null); // it may be gone again
      if (stats === null) continue;
      const inner = path === "" ? name : `${path}/${name}`;
      this.#entries.push(toEntry(inner, stats));
      if (!stats.isDirectory()) continue;
      if (depth > 1) await this.#descend(folder, name, inner, depth - 1);
    }
  }

  async #descend(folder: Pinned, name: string, path: string, depth: number): Promise<void> {
    const child = await folder.child(name).catch(() => null);
    if (child === null) return;
    await using held = child;
    if (held.stats.isDirectory()) await this.#list(held, path, depth);
  }

  async #names(folder: Pinned): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of await opendir(folder.path, { bufferSize: 256 })) {
      this.#signal.throwIfAborted();
      if (this.#namesLeft === 0) {
        this.#truncated = true;
        break;
      }
      this.#namesLeft -= 1;
      names.push(name);
    }
    return names.sort();
  }
}

const toEntry = (path: string, stats: Stats): WorkspaceEntry => ({
  path,
  type: typeOf(stats),
  size: stats.isFile() ? stats.size : 0,
  modified_at: stats.mtime.toISOString(),
});

function typeOf(stats: Stats): WorkspaceEntry["type"] {
  if (stats.isFile()) return "file";
  if (stats.isDirectory()) return "folder";
  return stats.isSymbolicLink() ? "link" : "other";
}
