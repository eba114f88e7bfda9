import { accessSync, constants, statSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { GuestError } from "./guest-error.ts";

export const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

type Finding = "executable" | "not_executable" | "missing";

/**
 * The file that a command's first word names, looked up as a shell does, without needing one.
 * @throws GuestError `command_not_found` (a shell's 127) or `command_not_executable` (126)
 */
export function resolveCommand(name: string, path: string | undefined, cwd: string): string {
  const candidates = name.includes("/") ? [resolve(cwd, name)] : searchPath(path).map((dir) => resolve(cwd, dir, name));
  let refused: string | null = null;
  for (const candidate of candidates) {
    const finding = inspect(candidate);
    if (finding === "executable") return candidate;
    if (finding === "not_executable") refused ??= candidate;
  }
  if (refused !== null)
    throw new GuestError(
      "command_not_executable",
      `${refused} in the instance cannot be executed: it is a folder, or lacks the x permission.`,
    );
  throw new GuestError("command_not_found", notFound(name, path));
}

/** @throws GuestError `invalid_cwd` */
export function checkCwd(cwd: string): void {
  if (!isAbsolute(cwd)) throw new GuestError("invalid_cwd", `The working directory "${cwd}" is not an absolute path.`);
  if (statOrNull(cwd)?.isDirectory() !== true)
    throw new GuestError(
      "invalid_cwd",
      `The working directory ${cwd} is no folder in the instance; create it or choose another one.`,
    );
  if (!isAllowed(cwd))
    throw new GuestError("invalid_cwd", `The instance's user may not enter the working directory ${cwd}.`);
}

function searchPath(path: string | undefined): string[] {
  return (path === undefined || path === "" ? DEFAULT_PATH : path).split(":").map((dir) => (dir === "" ? "." : dir));
}

function notFound(name: string, path: string | undefined): string {
  if (name.includes("/")) return `There is no file ${name} in the instance.`;
  return `There is no command "${name}" in the instance (PATH is ${path ?? DEFAULT_PATH}); give its full path, or use an image that has it.`;
}

function inspect(file: string): Finding {
  const stat = statOrNull(file);
  if (stat === null) return "missing";
  return stat.isFile() && isAllowed(file) ? "executable" : "not_executable";
}

function statOrNull(file: string) {
  try {
    return statSync(file);
  } catch {
    return null; // not there, or behind a folder that is closed to us: the same to the caller
  }
}

function isAllowed(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
