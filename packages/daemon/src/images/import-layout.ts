import { AegisError } from "@aegis/protocol/errors";
import type { PullProgress } from "../core/images.ts";
import type { BlobStore } from "./blob-store.ts";
import { parseManifest, type Descriptor } from "./image-config.ts";
import { readLayoutIndex } from "./layout-index.ts";

/**
 * The image of a layout that carries one of the names, or the only one there is.
 * @throws AegisError `image_invalid`, `image_not_found`
 */
export async function imageInLayout(layout: string, names: readonly string[]): Promise<Descriptor> {
  const { manifests } = await readLayoutIndex(layout);
  const named = manifests.find(({ annotations }) =>
    names.includes(annotations?.["org.opencontainers.image.ref.name"] ?? ""),
  );
  const chosen = named ?? (manifests.length === 1 ? manifests[0] : undefined);
  if (chosen === undefined) {
    throw new AegisError(
      "image_not_found",
      `The layout ${layout} has ${manifests.length} images, and none named ${names[0]}.`,
    );
  }
  const { annotations: _, ...descriptor } = chosen;
  return descriptor;
}

/** Takes the blobs of an image over from another layout; layers are verified when they are unpacked. */
export async function takeImage(
  source: BlobStore,
  image: Descriptor,
  target: { blobs: BlobStore; temporary: string; onProgress: (progress: PullProgress) => void; signal: AbortSignal },
): Promise<void> {
  const manifest = parseManifest(await source.readJson(image.digest));
  const wanted = [...manifest.layers, manifest.config, image];
  const totalBytes = wanted.reduce((sum, { size }) => sum + size, 0);
  let doneBytes = 0;
  for (const blob of wanted) {
    target.signal.throwIfAborted();
    target.onProgress({ phase: "download", message: "copying the image into the store", doneBytes, totalBytes });
    if (!(await target.blobs.has(blob))) await target.blobs.take(source, blob.digest, target.temporary);
    doneBytes += blob.size;
  }
}
