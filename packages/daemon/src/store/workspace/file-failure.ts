import { AegisError } from "@aegis/protocol/errors";

/** What a failed file call means to the one who asked. @param path as the caller gave it */
export function fileFailure(path: string, error: unknown): unknown {
  if (error instanceof AegisError || !(error instanceof Error) || !("code" in error)) return error;
  const options = { cause: error };
  const name = JSON.stringify(path);
  switch (error.code) {
    case "ENOENT":
    case "ENOTDIR":
      return new AegisError("file_not_found", `There is no ${name} in the workspace.`, options);
    case "EISDIR":
    case "EEXIST":
      return new AegisError("invalid_path", `${name} is a folder, not a file.`, options);
    case "ENOTEMPTY":
      return new AegisError("wrong_state", `The folder ${name} is not empty. Delete what is in it first.`, options);
    case "ENAMETOOLONG":
      return new AegisError("invalid_path", `The path ${name} is too long for the file system.`, options);
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new AegisError("forbidden", `The file system does not allow that for ${name} (${error.code}).`, options);
    case "ENOSPC":
    case "EDQUOT":
      return new AegisError(
        "disk_full",
        `No room is left on the disk for ${name}. Free some, then try again.`,
        options,
      );
    default:
      return error;
  }
}
