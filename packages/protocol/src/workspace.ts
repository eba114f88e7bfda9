import Type, { type Static } from "typebox";

/** Links are listed and never followed; `other` is a socket, a pipe or a device. */
export const WorkspaceEntry = Type.Object({
  /** below the workspace, without a leading slash */
  path: Type.String(),
  type: Type.Enum(["file", "folder", "link", "other"]),
  /** bytes; 0 for everything but files */
  size: Type.Integer(),
  /** RFC 3339 */
  modified_at: Type.String(),
});
export type WorkspaceEntry = Static<typeof WorkspaceEntry>;

/** `GET .../workspace/tree`. A folder comes before what is in it; names are in order. */
export const WorkspaceTree = Type.Object({
  path: Type.String(),
  entries: Type.Array(WorkspaceEntry),
  /** there is more than this: ask for a folder further down */
  truncated: Type.Boolean(),
});
export type WorkspaceTree = Static<typeof WorkspaceTree>;

/** Answer of `POST .../workspace?path=`. */
export const WorkspaceWritten = Type.Object({ status: Type.Literal("ok"), path: Type.String(), size: Type.Integer() });
export type WorkspaceWritten = Static<typeof WorkspaceWritten>;

/** A longer file is refused. */
export const MAX_WORKSPACE_FILE_BYTES = 1024 * 1024 * 1024;
export const MAX_TREE_ENTRIES = 10_000;
export const MAX_TREE_DEPTH = 32;
