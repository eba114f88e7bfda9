import { existsSync, lstatSync, realpathSync } from "node:fs";
import { chown, mkdir, stat } from "node:fs/promises";
import { isAbsolute, join, normalize } from "node:path";
import { HANDLE_PATTERN } from "@aegis/protocol/name-patterns";
import { AegisError } from "@aegis/protocol/errors";
import type { OpenWorkspace, Workspaces } from "../core/workspaces.ts";
import { FileAccess } from "./workspace/file-access.ts";
import { fileFailure } from "./workspace/file-failure.ts";
import { FolderWalk } from "./workspace/folder-walk.ts";
import { Pinned } from "./workspace/pinned.ts";
import { componentsOf, invalid } from "./workspace/workspace-path.ts";

export interface Owner {
  uid: number;
  gid: number;
}

const name = new RegExp(HANDLE_PATTERN);

const MAX_INNER_LENGTH = 1024;

/** Named workspaces under `<root>/<name>`, and host folders that belong to the owner of the daemon. */
export class WorkspaceFolders implements Workspaces {
  readonly #root: string;
  readonly #owner: Owner;
  readonly #reserved: readonly string[];
  readonly #walk: FolderWalk;

  /** @param reserved folders of the daemon itself: who could write there would be the host */
  constructor(root: string, owner: Owner, reserved: readonly string[]) {
    this.#root = root;
    this.#owner = owner;
    this.#walk = new FolderWalk(new FileAccess(owner));
    this.#reserved = reserved.flatMap((folder) => (existsSync(folder) ? [folder, realpathSync(folder)] : [folder]));
  }

  check(workspace: string): void {
    const { base, inner } = partsOf(workspace);
    if (isAbsolute(base)) this.#checkHostFolder(base);
    else if (!name.test(base) || base.length > 64) {
      throw new AegisError(
        "invalid_path",
        `The workspace ${JSON.stringify(base)} is neither a name (letters, digits, . _ -) nor an absolute path without "..".`,
      );
    }
    if (inner !== null) foldersIn(inner);
  }

  async open(workspace: string): Promise<OpenWorkspace> {
    this.check(workspace);
    const { base, inner } = partsOf(workspace);
    const path = await this.#openBase(base);
    const top = await Pinned.folder(path);
    if (inner === null) return opened(top, path);
    const names = foldersIn(inner);
    try {
      return await opened(await this.#walk.down(top, names, true), join(path, ...names));
    } catch (error) {
      throw fileFailure(inner, error);
    }
  }

  async #openBase(base: string): Promise<string> {
    if (isAbsolute(base)) return realpathSync(base);
    const folder = join(this.#root, base);
    if ((await mkdir(folder, { recursive: true, mode: 0o755 })) !== undefined) {
      await chown(folder, this.#owner.uid, this.#owner.gid);
    }
    return folder;
  }

  #checkHostFolder(path: string): void {
    if (normalize(path) !== path.replace(/(?<=.)\/$/, "") && normalize(path) !== path) {
      throw new AegisError("invalid_path", `The workspace ${path} must be a plain absolute path without "." or "..".`);
    }
    const real = resolve(path);
    const stats = lstatSync(real);
    if (!stats.isDirectory()) throw new AegisError("invalid_path", `The workspace ${path} is not a folder.`);
    if (stats.uid !== this.#owner.uid) {
      throw new AegisError(
        "invalid_path",
        `The workspace ${path} belongs to another user (uid ${stats.uid}). Use a folder of your own.`,
      );
    }
    if (this.#reserved.some((folder) => holds(folder, real) || holds(real, folder))) {
      throw new AegisError(
        "invalid_path",
        `The workspace ${path} holds or belongs to the state of aegisd, which no instance may see. Use a folder beside it.`,
      );
    }
    if (real === "/" || SYSTEM.some((folder) => holds(folder, real))) {
      throw new AegisError("invalid_path", `The workspace ${path} is a folder of the system. Use one of your own.`);
    }
  }
}

/** As core's `workspaceWithin` writes it. */
function partsOf(workspace: string): { base: string; inner: string | null } {
  const at = workspace.indexOf("//");
  return at === -1
    ? { base: workspace, inner: null }
    : { base: workspace.slice(0, at), inner: workspace.slice(at + 2) };
}

function foldersIn(inner: string): string[] {
  const names = componentsOf(inner);
  if (names.length === 0) throw invalid(inner, "it names no folder, as ./site would");
  if (inner.length > MAX_INNER_LENGTH) throw invalid(`${inner.slice(0, 40)}...`, "it is too long");
  return names;
}

async function opened(folder: Pinned, path: string): Promise<OpenWorkspace> {
  const { dev, ino } = await stat(folder.path, { bigint: true });
  return { path, identity: `${dev}:${ino}`, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

const holds = (outer: string, inner: string): boolean =>
  inner === outer || inner.startsWith(outer.replace(/\/?$/, "/"));

/** never handed to an instance, whoever owns them */
const SYSTEM = ["/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var"];

function resolve(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    throw new AegisError(
      "invalid_path",
      `The workspace ${path} does not exist. Create the folder, or use a name instead of a path.`,
      {
        cause: error,
      },
    );
  }
}
