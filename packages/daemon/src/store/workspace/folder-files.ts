import { rmdir, unlink } from "node:fs/promises";
import { isAbsolute } from "node:path";
import { pipeline, Transform } from "node:stream";
import type { WorkspaceTree, WorkspaceWritten } from "@aegis/protocol/workspace";
import type { TreeQuery, WorkspaceFile, WorkspaceFiles } from "../../core/workspace-files.ts";
import type { Workspaces } from "../../core/workspaces.ts";
import type { Owner } from "../workspace-folders.ts";
import { FileAccess } from "./file-access.ts";
import { fileFailure } from "./file-failure.ts";
import { FolderWalk } from "./folder-walk.ts";
import { TreeListing } from "./list-tree.ts";
import { Pinned } from "./pinned.ts";
import { replaceFile } from "./replace-file.ts";
import { componentsOf, fileOf, invalid } from "./workspace-path.ts";

/** Workspace files on the host's own file system. */
export class FolderFiles implements WorkspaceFiles {
  readonly #workspaces: Workspaces;
  readonly #root: string;
  readonly #access: FileAccess;
  readonly #walk: FolderWalk;

  /** @param root where workspaces with a name are */
  constructor(workspaces: Workspaces, root: string, owner: Owner) {
    this.#workspaces = workspaces;
    this.#root = root;
    this.#access = new FileAccess(owner);
    this.#walk = new FolderWalk(this.#access);
  }

  tree(workspace: string, query: TreeQuery, signal: AbortSignal): Promise<WorkspaceTree> {
    return explained(query.path, async () => {
      const names = componentsOf(query.path);
      await using folder = await this.#folder(workspace, names);
      this.#access.checkRead(folder.stats, query.path);
      return await new TreeListing(this.#access, query, signal).of(folder, names.join("/"));
    });
  }

  read(workspace: string, path: string): Promise<WorkspaceFile> {
    return explained(path, async () => {
      const { folders, name } = fileOf(path);
      await using folder = await this.#folder(workspace, folders);
      this.#access.checkEnter(folder.stats, path);
      await using file = await folder.child(name);
      if (!file.stats.isFile()) throw invalid(path, notAFile(file));
      this.#access.checkRead(file.stats, path);
      const { size, mtime } = file.stats;
      const handle = await file.openForReading();
      const bytes = handle.createReadStream({ start: 0, end: Math.max(size - 1, 0) });
      return { size, modifiedAt: mtime, body: pipeline(bytes, exactly(size), () => undefined) };
    });
  }

  write(workspace: string, path: string, body: AsyncIterable<Uint8Array>, mode?: number): Promise<WorkspaceWritten> {
    return explained(path, async () => {
      const { folders, name } = fileOf(path);
      await using folder = await this.#folder(workspace, folders, true);
      this.#access.checkChange(folder.stats, path);
      const size = await replaceFile(folder, name, this.#access.owner, body, mode);
      return { status: "ok", path: [...folders, name].join("/"), size };
    });
  }

  remove(workspace: string, path: string): Promise<void> {
    return explained(path, async () => {
      const { folders, name } = fileOf(path);
      await using folder = await this.#folder(workspace, folders);
      this.#access.checkChange(folder.stats, path);
      await using file = await folder.child(name);
      await (file.stats.isDirectory() ? rmdir : unlink)(folder.pathOf(name));
    });
  }

  async #folder(workspace: string, names: readonly string[], make = false): Promise<Pinned> {
    return this.#walk.down(await this.#top(workspace), names, make);
  }

  /** Of a workspace within another one's, the folders above belong to who runs there: they are walked like all others. */
  async #top(workspace: string): Promise<Pinned> {
    await using folder = await this.#workspaces.open(workspace);
    if (isAbsolute(workspace))
      return await this.#walk.down(await Pinned.folder("/"), componentsOf(folder.path.slice(1)));
    return await this.#walk.down(await Pinned.folder(this.#root), componentsOf(workspace));
  }
}

/** A file that grows is cut, one that shrinks is an error: the length was promised. */
function exactly(size: number): Transform {
  let seen = 0;
  return new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      const rest = chunk.subarray(0, size - seen);
      seen += rest.length;
      done(null, rest);
    },
    flush(done) {
      done(seen === size ? null : new Error("the file became shorter while it was read"));
    },
  });
}

function notAFile({ stats }: Pinned): string {
  if (stats.isDirectory()) return "it is a folder; list it with the workspace's tree";
  if (stats.isSymbolicLink()) return "it is a link, and links are not followed; name the file itself";
  return "it is a pipe, a socket or a device, not a file";
}

async function explained<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileFailure(path, error);
  }
}
