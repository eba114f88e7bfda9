import { AegisError } from "@aegis/protocol/errors";

/** A workspace that is there, and stays this one until it is let go of. */
export interface OpenWorkspace extends AsyncDisposable {
  /** host folder */
  path: string;
  /**
   * `device:inode`. Who runs in a workspace may swap folders in it at any time: whoever comes by the path has to see
   * that it is still this one.
   */
  identity: string;
}

/**
 * Folders that outlive instances and are mounted at /workspace. A workspace is a name, an absolute host path that the
 * owner of the daemon may use, or a folder in one of those, as {@link workspaceWithin} writes it.
 */
export interface Workspaces {
  /** @throws AegisError `invalid_path` with the reason */
  check(workspace: string): void;
  /** Made when absent. Same errors as {@link check}; also where a link is on the way to a folder in a workspace. */
  open(workspace: string): Promise<OpenWorkspace>;
}

/** What a child writes for a folder in its parent's workspace. */
const IN_PARENT = "./";

export const isInParent = (workspace: string): boolean => workspace.startsWith(IN_PARENT);

/**
 * The workspace that a spec means: `./site` is a folder in the parent's.
 * @param above the parent's workspace
 * @returns `name`, `/host/path`, or either with `//folder/in/it` behind it
 * @throws AegisError `invalid_path` when there is none to have a folder in
 */
export function workspaceWithin(above: string | null, workspace: string): string {
  if (!isInParent(workspace)) return workspace;
  if (above === null)
    throw new AegisError(
      "invalid_path",
      `The workspace ${workspace} is a folder in the workspace of the parent, and there is none. Use a name.`,
    );
  return `${above}${above.includes("//") ? "/" : "//"}${workspace.slice(IN_PARENT.length)}`;
}
