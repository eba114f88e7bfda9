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
