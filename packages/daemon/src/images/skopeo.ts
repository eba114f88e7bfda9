import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { RegistrySource } from "./registry-source.ts";
import { runTool, ToolFailed } from "./run-tool.ts";

/** Why a registry did not give what it was asked for. */
export type RegistryTrouble = "not_found" | "unreachable" | "mismatch";

const INSPECT_DEADLINE_MS = 20_000;

const NOT_FOUND =
  /manifest unknown|name unknown|repository name not known|not found|\b404\b|denied|unauthorized|authentication required/i;
const MISMATCH = /digest did not match|does not match|digest verification|unexpected (?:blob )?digest/i;

/** Raw bytes of the manifest or index that `at` (`:tag` or `@digest`) names. */
export async function inspectRaw(source: RegistrySource, at: string, signal?: AbortSignal): Promise<string> {
  const deadline = AbortSignal.timeout(INSPECT_DEADLINE_MS);
  const either = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
  const command = [...skopeo(), "inspect", "--raw", `--tls-verify=${source.verifyTls}`, `${source.location}${at}`];
  try {
    return await runTool(command, { signal: either });
  } catch (error) {
    signal?.throwIfAborted();
    if (deadline.aborted) throw new ToolFailed("skopeo", `had no answer in ${INSPECT_DEADLINE_MS / 1000} s`, "timeout");
    throw error;
  }
}

/** Copies an image into a layout of its own whose blobs lie in `blobs`. Blobs that are there already are not downloaded. */
export async function copyImage(
  source: RegistrySource,
  digest: string,
  target: { layout: string; blobs: string },
  signal?: AbortSignal,
): Promise<void> {
  const options = [`--src-tls-verify=${source.verifyTls}`, "--dest-shared-blob-dir", target.blobs, "--retry-times=2"];
  const from = `${source.location}@${digest}`;
  const command = [
    ...skopeo(),
    "copy",
    "--quiet",
    "--remove-signatures",
    ...options,
    from,
    `oci:${target.layout}:image`,
  ];
  await runTool(command, { signal });
}

export function troubleOf(error: ToolFailed): RegistryTrouble {
  if (MISMATCH.test(error.output)) return "mismatch";
  return NOT_FOUND.test(error.output) ? "not_found" : "unreachable";
}

/** skopeo refuses to work without a policy file, which a minimal installation lacks. */
function skopeo(): string[] {
  const policies = [join(homedir(), ".config/containers/policy.json"), "/etc/containers/policy.json"];
  return policies.some((file) => existsSync(file)) ? ["skopeo"] : ["skopeo", "--insecure-policy"];
}
