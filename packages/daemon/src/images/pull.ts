import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import type { PullProgress } from "../core/images.ts";
import { type BlobStore, digestOf } from "./blob-store.ts";
import { watchDownload } from "./download-watch.ts";
import { isIndex, parseIndex, parseManifest, type Descriptor, type Manifest } from "./image-config.ts";
import { isDiskFull } from "./image-failure.ts";
import { readLayoutIndex } from "./layout-index.ts";
import { formatReference, type Reference } from "../core/image-reference.ts";
import { registrySources, type RegistrySettings, type RegistrySource } from "./registry-source.ts";
import { ToolFailed } from "./run-tool.ts";
import { copyImage, inspectRaw, troubleOf, type RegistryTrouble } from "./skopeo.ts";

/** What an image of the store is made of, before it has a name. */
export interface Pulled {
  manifest: Descriptor;
  sourceDigests: string[];
}

export interface PullTarget {
  blobs: BlobStore;
  /** empty folder on the file system of the blobs */
  temporary: string;
  onProgress: (progress: PullProgress) => void;
  signal: AbortSignal;
}

interface Attempt {
  source: RegistrySource;
  trouble: RegistryTrouble;
  error: ToolFailed;
}

/**
 * Downloads an image's blobs from the first source that has it.
 * @throws AegisError `image_not_found`, `registry_failed`, `image_invalid`; errors of the file system as they are
 */
export async function pullImage(ref: Reference, settings: RegistrySettings, target: PullTarget): Promise<Pulled> {
  const attempts: Attempt[] = [];
  for (const [at, source] of registrySources(ref, settings).entries()) {
    try {
      return await pullFrom(source, ref, { ...target, temporary: join(target.temporary, `source-${at}`) });
    } catch (error) {
      if (!(error instanceof ToolFailed) || isDiskFull(error)) throw error;
      attempts.push({ source, error, trouble: troubleOf(error) });
    }
  }
  throw pullFailure(formatReference(ref), attempts);
}

async function pullFrom(source: RegistrySource, ref: Reference, target: PullTarget): Promise<Pulled> {
  const { onProgress, signal, blobs } = target;
  const say = (phase: PullProgress["phase"], message: string, doneBytes: number | null, totalBytes: number | null) =>
    onProgress({ phase, message, doneBytes, totalBytes });
  say("resolve", `asking ${source.name} for ${formatReference(ref)}`, null, null);
  const { digest, manifest, sourceDigests } = await resolve(source, ref, signal);
  const wanted = [manifest.config, ...manifest.layers];
  const total = wanted.reduce((sum, { size }) => sum + size, 0);
  const tell = (done: number) => say("download", `downloading from ${source.name}`, Math.min(done, total), total);
  tell(0);
  await watchDownload(blobs, wanted, target.temporary, tell, () =>
    copyImage(source, digest, { layout: target.temporary, blobs: blobs.folder }, signal),
  );
  tell(total);
  const [copied] = (await readLayoutIndex(target.temporary)).manifests;
  if (copied === undefined) throw new AegisError("image_invalid", `${source.name} gave an image without a manifest.`);
  const { annotations: _, ...stored } = copied;
  return { manifest: stored, sourceDigests: sourceDigests.filter((known) => known !== stored.digest) };
}

interface Resolved {
  digest: string;
  manifest: Manifest;
  sourceDigests: string[];
}

/** The manifest for this machine, behind an index or not, and the digests that lead to it. */
async function resolve(source: RegistrySource, ref: Reference, signal: AbortSignal): Promise<Resolved> {
  const sourceDigests: string[] = [];
  let at = ref.digest === null ? `:${ref.tag ?? "latest"}` : `@${ref.digest}`;
  let expected = ref.digest;
  for (let depth = 0; depth < 2; depth += 1) {
    const raw = await inspectRaw(source, at, signal);
    const digest = digestOf(raw);
    if (expected !== null && digest !== expected) throw wrongDigest(source, expected, digest);
    sourceDigests.push(digest);
    const value = parseJson(raw, source);
    if (!isIndex(value)) return { digest, manifest: parseManifest(value), sourceDigests };
    expected = forThisMachine(parseIndex(value).manifests, ref);
    at = `@${expected}`;
  }
  throw new AegisError("image_invalid", `${formatReference(ref)} is an index of indexes, which is not supported.`);
}

function forThisMachine(manifests: readonly Descriptor[], ref: Reference): string {
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const fits = manifests.find(({ platform }) => platform?.os === "linux" && platform.architecture === architecture);
  if (fits !== undefined) return fits.digest;
  throw new AegisError("image_invalid", `${formatReference(ref)} has no image for linux/${architecture}.`);
}

function parseJson(raw: string, source: RegistrySource): unknown {
  try {
    return JSON.parse(raw);
  } catch (error) {
    throw new AegisError("image_invalid", `${source.name} gave a manifest that is not JSON.`, { cause: error });
  }
}

/** Only this source is wrong: the next one may have the right content. */
const wrongDigest = (source: RegistrySource, expected: string, got: string) =>
  new ToolFailed(source.name, "gave something else", `the digest ${got} does not match ${expected}`);

/** What the registry itself said decides; a mirror's word counts only when all say the same. */
function pullFailure(name: string, attempts: readonly Attempt[]): AegisError {
  const last = attempts.at(-1);
  const mismatch = attempts.find(({ trouble }) => trouble === "mismatch");
  const said = attempts.map(({ source, error }) => `${source.name}: ${reason(error)}`).join("; ");
  const cause = { cause: last?.error };
  if (mismatch !== undefined) {
    const message = `${name} was refused: what ${mismatch.source.name} gave does not match the digest. Check the digest, or pull from another registry.`;
    return new AegisError("image_invalid", message, cause);
  }
  if (last?.trouble === "not_found") {
    const message = `There is no image ${name} (or it needs a login). Asked ${said}. Check the name; for a private image log in with "skopeo login".`;
    return new AegisError("image_not_found", message, cause);
  }
  const message = `${name} could not be pulled: no registry could be used. Asked ${said}. Check the network, or set a registry mirror.`;
  return new AegisError("registry_failed", message, cause);
}

/** The last words of skopeo's message, which tell the reason. */
function reason(error: ToolFailed): string {
  const line = error.output.trim().split("\n").at(-1) ?? "";
  const message = /msg="(.*)"$/.exec(line)?.[1] ?? line;
  return message.replaceAll('\\"', '"').split(": ").slice(-2).join(": ").slice(0, 200);
}
