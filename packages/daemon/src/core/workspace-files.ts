import type { Readable } from "node:stream";
import type { WorkspaceTree, WorkspaceWritten } from "@aegis/protocol/workspace";

export interface TreeQuery {
  /** a folder below the workspace; empty: the workspace itself */
  path: string;
  /** levels below that folder */
  depth: number;
  limit: number;
}

export interface WorkspaceFile {
  size: number;
  modifiedAt: Date;
  /** exactly `size` bytes, or an error; to be read or destroyed */
  body: Readable;
}

/**
 * Files of workspaces, for callers outside of the instance. Whoever runs inside changes them at the same time and means
 * harm: no path leads out of the workspace, no link is followed, nothing but plain files is opened.
 *
 * Every call throws AegisError `invalid_path` for a path that leads elsewhere or to something else, `file_not_found`,
 * and `forbidden` for what the workspace's owner could not do either.
 */
export interface WorkspaceFiles {
  tree(workspace: string, query: TreeQuery, signal: AbortSignal): Promise<WorkspaceTree>;
  read(workspace: string, path: string): Promise<WorkspaceFile>;
  /**
   * Makes or replaces a file as a whole, and the folders above it; a failure leaves what was there.
   * @param mode permission bits; absent: those of the file that is replaced, else 0644
   * @throws AegisError `too_large`, `disk_full`
   */
  write(workspace: string, path: string, body: AsyncIterable<Uint8Array>, mode?: number): Promise<WorkspaceWritten>;
  /** A file, a link or an empty folder. @throws AegisError `wrong_state` for a folder that is not empty */
  remove(workspace: string, path: string): Promise<void>;
}
