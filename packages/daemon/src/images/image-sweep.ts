import { AegisError } from "@aegis/protocol/errors";
import { isClaimed } from "../core/image-use.ts";
import type { Pruned, StoredImage } from "../core/images.ts";
import type { BlobStore } from "./blob-store.ts";
import { entriesNamed, type ImageCatalog } from "./image-catalog.ts";
import type { ImageClaims } from "./image-claims.ts";
import type { ImageIndex, IndexEntry } from "./image-index.ts";
import type { TemporaryFolders } from "./temporary-folders.ts";
import type { UnpackedImages } from "./unpacked-images.ts";

export interface SweepDeps {
  blobs: BlobStore;
  index: ImageIndex;
  catalog: ImageCatalog;
  claims: ImageClaims;
  unpacked: UnpackedImages;
  temporary: TemporaryFolders;
  /** names of images that are only ever made on this machine */
  isLocal: (name: string) => boolean;
}

/** Takes away what nobody needs. Whoever calls holds the store's lock alone: nobody adds, and nobody begins to boot. */
export class ImageSweep {
  readonly #deps: SweepDeps;

  constructor(deps: SweepDeps) {
    this.#deps = deps;
  }

  /** Removes what has no name and is claimed by no home. @returns freed bytes */
  async clear(): Promise<number> {
    const { blobs, index, catalog, claims, unpacked, temporary } = this.#deps;
    const entries = await index.entries();
    const needed = new Set([...entries.map(({ manifest }) => manifest.digest), ...(await claims.all())]);
    let freed = 0;
    await temporary.use(async (trash) => {
      for (const digest of await unpacked.digests())
        if (!needed.has(digest)) freed += await unpacked.moveTo(trash, digest);
    });
    return freed + (await blobs.keepOnly(await catalog.blobsOf(needed)));
  }

  /** Removes the names of images that no home needs and nobody wants, those of damaged ones too, and then what they named. */
  async prune(unwanted: (image: StoredImage) => boolean): Promise<Pruned> {
    const { index, catalog, claims } = this.#deps;
    const [entries, claimed] = [await index.entries(), await claims.all()];
    const whole = await catalog.list([]);
    const damaged = entries.filter(({ manifest }) => whole.every(({ digest }) => digest !== manifest.digest));
    const gone = damaged.map(({ ref }) => ref);
    for (const view of whole) {
      const image = await this.stored(view.digest, entries);
      if (!isClaimed(image, claimed) && unwanted(image)) gone.push(...image.refs);
    }
    await index.remove(gone);
    return { deleted: gone, freedBytes: await this.clear() };
  }

  async stored(digest: string, entries: readonly IndexEntry[]): Promise<StoredImage> {
    const own = entries.filter((entry) => entry.manifest.digest === digest);
    return {
      digest,
      refs: own.map(({ ref }) => ref),
      usedAt: await this.#deps.unpacked.usedAt(digest),
      madeHere: own.some(({ ref, imported }) => imported || this.#deps.isLocal(ref)),
      isNamedBy: (ref) => isNamedBy(ref, digest, entries),
    };
  }
}

/** What no image can be called names none. */
function isNamedBy(ref: string, digest: string, entries: readonly IndexEntry[]): boolean {
  try {
    return entriesNamed(ref, entries).some(({ manifest }) => manifest.digest === digest);
  } catch (error) {
    if (error instanceof AegisError) return false;
    throw error;
  }
}
