import { existsSync, lstatSync, realpathSync } from "node:fs";
import { chown, mkdir } from "node:fs/promises";
import { isAbsolute, join, normalize } from "node:path";
import { HANDLE_PATTERN } from "@aegis/protocol/name-patterns";
import { AegisError } from "@aegis/protocol/errors";
import type { Workspaces } from "../core/workspaces.ts";

export interface Owner {
  uid: number;
  gid: number;
}

const name = new RegExp(HANDLE_PATTERN);

/** Named workspaces under `<root>/<name>`, and host folders that belong to the owner of the daemon. */
export class WorkspaceFolders implements Workspaces {
  readonly #root: string;
  readonly #owner: Owner;
  readonly #reserved: readonly string[];

  /** @param reserved folders of the daemon itself: who could write there would be the host */
  constructor(root: string, owner: Owner, reserved: readonly string[]) {
    this.#root = root;
    this.#owner = owner;
    this.#reserved = reserved.flatMap((folder) => (existsSync(folder) ? [folder, realpathSync(folder)] : [folder]));
  }

  check(workspace: string): void {
    if (isAbsolute(workspace)) this.#checkHostFolder(workspace);
    else if (!name.test(workspace) || workspace.length > 64) {
      throw new AegisError(
        "invalid_path",
        `The workspace ${JSON.stringify(workspace)} is neither a name (letters, digits, . _ -) nor an absolute path without "..".`,
      );
    }
  }

  async open(workspace: string): Promise<string> {
    this.check(workspace);
    if (isAbsolute(workspace)) return realpathSync(workspace);
    const folder = join(this.#root, workspace);
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
