import { stat } from "node:fs/promises";
import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import type { ImageView } from "@aegis/protocol/instance";
import type { Image } from "../core/images.ts";
import type { BlobStore } from "./blob-store.ts";
import { parseConfig, parseManifest, type ConfigBlob, type Manifest } from "./image-config.ts";
import type { ImageIndex, IndexEntry } from "./image-index.ts";
import { formatReference, parseReference } from "./reference.ts";

/** Reads what the store holds. */
export class ImageCatalog {
  readonly #blobs: BlobStore;
  readonly #index: ImageIndex;
  readonly #unpacked: string;

  constructor(blobs: BlobStore, index: ImageIndex, unpacked: string) {
    this.#blobs = blobs;
    this.#index = index;
    this.#unpacked = unpacked;
  }

  /** Host folder that the unpacked image has or will have. */
  folderOf(digest: string): string {
    return join(this.#unpacked, digest.replace(":", "-"));
  }

  async isUnpacked(digest: string): Promise<boolean> {
    return await stat(join(this.folderOf(digest), "rootfs")).then(
      () => true,
      () => false,
    );
  }

  /**
   * The entries of one image that the reference, digest or prefix of a digest names; none when it is not there.
   * @throws AegisError `invalid_request` when it is malformed or the prefix fits several images
   */
  async select(ref: string): Promise<{ named: IndexEntry[]; entries: IndexEntry[] }> {
    const entries = await this.#index.entries();
    const prefix = /^(?:sha256:)?([0-9a-f]{6,64})$/.exec(ref)?.[1];
    const named = entries.filter((entry) => entry.ref === nameOf(ref));
    if (named.length > 0) return { named, entries };
    const digest = prefix === undefined ? parseReference(ref).digest : `sha256:${prefix}`;
    if (digest === null) return { named: [], entries };
    const fits = entries.filter((entry) =>
      [entry.manifest.digest, ...entry.sourceDigests].some((known) => known.startsWith(digest)),
    );
    if (fits.some((entry) => entry.manifest.digest !== fits[0]?.manifest.digest)) {
      throw new AegisError(
        "invalid_request",
        `"${ref}" is the beginning of several images' digests. Give more digits.`,
      );
    }
    return { named: fits, entries };
  }

  /** Null when the image is not unpacked, or damaged. */
  async image(entry: IndexEntry, entries: readonly IndexEntry[]): Promise<Image | null> {
    const { digest } = entry.manifest;
    if (!(await this.isUnpacked(digest))) return null;
    const parts = await this.#read(digest);
    if (parts === null) return null;
    const { manifest, blob } = parts;
    return {
      ...view(entry, entries, manifest, blob),
      rootfs: join(this.folderOf(digest), "rootfs"),
      config: blob.config,
    };
  }

  async list(): Promise<ImageView[]> {
    const entries = await this.#index.entries();
    const firsts = entries.filter((entry, at) => entries.findIndex((other) => isSame(other, entry)) === at);
    const views = await Promise.all(
      firsts.map(async (entry) => {
        const parts = await this.#read(entry.manifest.digest);
        return parts === null ? [] : [view(entry, entries, parts.manifest, parts.blob)];
      }),
    );
    return views.flat();
  }

  /** Digests of every blob that the entries need. */
  async blobsOf(entries: readonly IndexEntry[]): Promise<Set<string>> {
    const needed = new Set<string>();
    for (const { manifest } of entries) {
      const parts = await this.#read(manifest.digest);
      if (parts === null) continue;
      needed.add(manifest.digest);
      for (const { digest } of [parts.manifest.config, ...parts.manifest.layers]) needed.add(digest);
    }
    return needed;
  }

  /** Null when a part is missing or damaged: the image has to be pulled again. */
  async #read(digest: string): Promise<{ manifest: Manifest; blob: ConfigBlob } | null> {
    try {
      const manifest = parseManifest(await this.#blobs.readJson(digest));
      return { manifest, blob: parseConfig(await this.#blobs.readJson(manifest.config.digest)) };
    } catch (error) {
      if (error instanceof AegisError && error.code === "image_invalid") return null;
      throw error;
    }
  }
}

const isSame = (one: IndexEntry, other: IndexEntry): boolean => one.manifest.digest === other.manifest.digest;

/** A digest on its own reads as the name of a repository, or as none. */
function nameOf(ref: string): string | null {
  try {
    return formatReference(parseReference(ref));
  } catch (error) {
    if (/^sha256:[0-9a-f]+$/.test(ref)) return null;
    throw error;
  }
}

function view(entry: IndexEntry, entries: readonly IndexEntry[], manifest: Manifest, blob: ConfigBlob): ImageView {
  const parts = [entry.manifest, manifest.config, ...manifest.layers];
  return {
    refs: entries.filter((other) => isSame(other, entry)).map(({ ref }) => ref),
    digest: entry.manifest.digest,
    size_bytes: parts.reduce((sum, { size }) => sum + size, 0),
    created_at: blob.createdAt,
  };
}
