import { AegisError } from "@aegis/protocol/errors";
import type { ImageView } from "@aegis/protocol/image";
import type { Image } from "../core/images.ts";
import type { BlobStore } from "./blob-store.ts";
import { parseConfig, parseManifest, type ConfigBlob, type Manifest } from "./image-config.ts";
import type { ImageIndex, IndexEntry } from "./image-index.ts";
import type { UnpackedImages } from "./unpacked-images.ts";
import { formatReference, parseReference } from "../core/image-reference.ts";

/** Reads what the store holds. */
export class ImageCatalog {
  readonly #blobs: BlobStore;
  readonly #index: ImageIndex;
  readonly #unpacked: UnpackedImages;

  constructor(blobs: BlobStore, index: ImageIndex, unpacked: UnpackedImages) {
    this.#blobs = blobs;
    this.#index = index;
    this.#unpacked = unpacked;
  }

  /**
   * The entries of one image that the reference, digest or prefix of a digest names; none when it is not there.
   * @throws AegisError `invalid_request` when it is malformed or the prefix fits several images
   */
  async select(ref: string): Promise<IndexEntry[]> {
    return entriesNamed(ref, await this.#index.entries());
  }

  /** Whether a name has it or not. Null when the image is not unpacked, or damaged. */
  async image(digest: string): Promise<Image | null> {
    if (!(await this.#unpacked.has(digest))) return null;
    const parts = await this.#read(digest);
    if (parts === null) return null;
    const entries = await this.#index.entries();
    const view = this.#view(digest, parts, entries);
    const same = entries.filter(({ manifest }) => manifest.digest === digest);
    const sourceDigests = [...new Set(same.flatMap((entry) => entry.sourceDigests))];
    const places = { rootfs: this.#unpacked.rootfsOf(digest), derived: this.#unpacked.derivedOf(digest) };
    return { ...view, ...places, config: parts.blob.config, sourceDigests };
  }

  /** What has a name, and of the others those that are asked for too. */
  async list(others: Iterable<string>): Promise<ImageView[]> {
    const entries = await this.#index.entries();
    const digests = new Set([...entries.map(({ manifest }) => manifest.digest), ...others]);
    const views = await Promise.all(
      [...digests].map(async (digest) => {
        const parts = await this.#read(digest);
        return parts === null ? [] : [this.#view(digest, parts, entries)];
      }),
    );
    return views.flat();
  }

  /** Digests of every blob that the images need. */
  async blobsOf(digests: Iterable<string>): Promise<Set<string>> {
    const needed = new Set<string>();
    for (const image of digests) {
      const parts = await this.#read(image);
      if (parts === null) continue;
      needed.add(image);
      for (const { digest } of [parts.manifest.config, ...parts.manifest.layers]) needed.add(digest);
    }
    return needed;
  }

  #view(digest: string, { manifest, manifestBytes, blob }: Parts, entries: readonly IndexEntry[]): ImageView {
    return {
      refs: entries.filter((entry) => entry.manifest.digest === digest).map(({ ref }) => ref),
      digest,
      size_bytes: [manifest.config, ...manifest.layers].reduce((sum, { size }) => sum + size, manifestBytes),
      created_at: blob.createdAt,
    };
  }

  /** Null when a part is missing or damaged: the image has to be pulled again. */
  async #read(digest: string): Promise<Parts | null> {
    try {
      const manifest = parseManifest(await this.#blobs.readJson(digest));
      const blob = parseConfig(await this.#blobs.readJson(manifest.config.digest));
      return { manifest, blob, manifestBytes: await this.#blobs.sizeOf(digest) };
    } catch (error) {
      if (error instanceof AegisError && error.code === "image_invalid") return null;
      throw error;
    }
  }
}

interface Parts {
  manifest: Manifest;
  manifestBytes: number;
  blob: ConfigBlob;
}

/** A digest on its own reads as the name of a repository, or as none. */
function nameOf(ref: string): string | null {
  try {
    return formatReference(parseReference(ref));
  } catch (error) {
    if (/^sha256:[0-9a-f]+$/.test(ref)) return null;
    throw error;
  }
}

/** {@link ImageCatalog.select} among entries that were read before. */
export function entriesNamed(ref: string, entries: readonly IndexEntry[]): IndexEntry[] {
  const prefix = /^(?:sha256:)?([0-9a-f]{6,64})$/.exec(ref)?.[1];
  const named = entries.filter((entry) => entry.ref === nameOf(ref));
  if (named.length > 0) return named;
  const digest = prefix === undefined ? parseReference(ref).digest : `sha256:${prefix}`;
  if (digest === null) return [];
  const fits = entries.filter((entry) =>
    [entry.manifest.digest, ...entry.sourceDigests].some((known) => known.startsWith(digest)),
  );
  if (fits.some((entry) => entry.manifest.digest !== fits[0]?.manifest.digest)) {
    throw new AegisError("invalid_request", `"${ref}" is the beginning of several images' digests. Give more digits.`);
  }
  return fits;
}
