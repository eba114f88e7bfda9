import { AegisError } from "@aegis/protocol/errors";

const MAX_COMPONENTS = 64;

/**
 * The components of a path below the workspace; none for the workspace itself.
 * @throws AegisError `invalid_path`
 */
export function componentsOf(path: string): string[] {
  if (path.startsWith("/")) throw invalid(path, 'give it relative to the workspace, as in "src/main.js"');
  if (path.includes("\0")) throw invalid(path, "it holds a NUL character");
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  if (names.includes("..")) throw invalid(path, 'it holds ".."');
  if (names.length > MAX_COMPONENTS) throw invalid(path, `it is more than ${MAX_COMPONENTS} folders deep`);
  return names;
}

/** The folders above a file, and its name. @throws AegisError `invalid_path`, also for the workspace itself */
export function fileOf(path: string): { folders: string[]; name: string } {
  const folders = componentsOf(path);
  const name = folders.pop();
  if (name === undefined) throw invalid(path, "it names the workspace itself; name a file in it");
  return { folders, name };
}

export const invalid = (path: string, why: string): AegisError =>
  new AegisError("invalid_path", `The path ${JSON.stringify(path)} cannot be used: ${why}.`);
