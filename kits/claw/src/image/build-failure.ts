import { AegisError } from "@aegis/protocol/errors";
import { CommandFailed } from "./run-command.ts";

export const noRegistry = (): never => {
  throw new AegisError(
    "registry_failed",
    "The base image was not found: no registry answered within 5 s. Set AEGIS_REGISTRY_MIRRORS=docker.io=URL to a mirror " +
      "that can be reached, or build the base from Debian's archive instead.",
  );
};

const NO_SPACE = /no space left on device|ENOSPC|disk quota exceeded/i;
const NO_NETWORK =
  /could not resolve|temporary failure (?:in name resolution|resolving)|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|connection timed out|connection refused|network is unreachable|failed to fetch/i;

/** What a failed build says to the person who waits for it. */
export function buildFailure(error: unknown, workDir: string): unknown {
  if (error instanceof AegisError || !(error instanceof Error)) return error;
  const text = error instanceof CommandFailed ? `${error.message}\n${error.output}` : error.message;
  if (NO_SPACE.test(text)) {
    const message = `The disk is full: building the image needs about 4 GB free in ${workDir}. Free some space and start again; finished steps are kept.`;
    return new AegisError("disk_full", message, { cause: error });
  }
  if (NO_NETWORK.test(text)) {
    const message = `The image could not be built for want of network: ${error.message}. Check that apt and npm reach their registries, then start again; finished steps are kept.`;
    return new AegisError("registry_failed", message, { cause: error });
  }
  return error;
}
