import { AegisError } from "@aegis/protocol/errors";
import { ToolFailed } from "./run-tool.ts";

/** tar tells of a full disk by a short write */
const NO_SPACE = /no space left on device|disk quota exceeded|wrote only \d+ of \d+ bytes|ENOSPC|EDQUOT/i;

export const isDiskFull = (error: unknown): boolean =>
  error instanceof ToolFailed
    ? NO_SPACE.test(error.output)
    : error instanceof Error && NO_SPACE.test("code" in error ? String(error.code) : error.message);

/** What an operation on the store says when the disk is full; everything else stays as it is. */
export function storeFailure(error: unknown, root: string): unknown {
  if (error instanceof AegisError || !isDiskFull(error)) return error;
  const message = `The disk is full: the image does not fit into ${root}. Free some space there ("aegis image prune" removes unused images), then try again.`;
  return new AegisError("disk_full", message, { cause: error });
}

export const notHere = (ref: string) =>
  new AegisError(
    "image_not_found",
    `There is no image ${ref} on this machine. "aegis image list" shows those there are.`,
  );

export const onlyMadeHere = (name: string) =>
  new AegisError(
    "image_not_found",
    `There is no image ${name} on this machine, and images of this name are only ever made here, never pulled.`,
  );

export const usedElsewhere = (ref: string, home: string) =>
  new AegisError("image_in_use", `${ref} is used by the instances of another home, ${home}. Delete it there first.`);
