import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import type { ImageView } from "@aegis/protocol/image";
import { isClaimed } from "../core/image-use.ts";
import type { Image, Images, Pruned, PullProgress, StoredImage, WantedImage } from "../core/images.ts";
import { BlobStore } from "./blob-store.ts";
import { ImageCatalog } from "./image-catalog.ts";
import { type ClaimingHome, ImageClaims } from "./image-claims.ts";
import { parseManifest, type Descriptor } from "./image-config.ts";
import { isDiskFull, notHere, onlyMadeHere, storeFailure, usedElsewhere } from "./image-failure.ts";
import { ImageIndex, type IndexEntry } from "./image-index.ts";
import { ImageSweep } from "./image-sweep.ts";
import { imageInLayout, takeImage } from "./import-layout.ts";
import { pullImage, type Pulled, type PullTarget } from "./pull.ts";
import { formatReference, parseReference } from "../core/image-reference.ts";
import type { RegistrySettings } from "./registry-source.ts";
import { SharedWork } from "./shared-work.ts";
import { StoreLocks } from "./store-locks.ts";
import { TemporaryFolders } from "./temporary-folders.ts";
import { unpackImage } from "./unpack.ts";
import { UnpackedImages } from "./unpacked-images.ts";
import type { IdMap } from "./user-namespace.ts";

export interface ImageStoreSettings extends Partial<RegistrySettings> {
  /** folder of the store; several daemons may use it at the same time */
  root: string;
  /** who owns the unpacked files */
  idMap: IdMap;
  /** what images that are only ever made on this machine are called; they are never asked for in a registry */
  localPrefixes?: readonly string[];
  /** whose instances boot from here; without one nothing is claimed beyond this process */
  home?: ClaimingHome;
  /** throws `disk_full` when there is no room for another image */
  refuseWhenFull?: () => void;
}

type OnProgress = (progress: PullProgress) => void;
type Fetch = (target: PullTarget) => Promise<Pulled & Pick<IndexEntry, "imported">>;

/** So long a prune waits for pulls that are going on; what it has to clear away is then left to them. */
const PRUNE_WAIT_MS = 30_000;

/**
 * Images on this machine: an OCI layout (`oci/`), and each image unpacked once (`unpacked/sha256-.../rootfs`). What the index
 * names is complete. Who adds holds the store's lock shared; who clears away holds it alone.
 */
export class ImageStore implements Images {
  readonly #settings: Required<Omit<ImageStoreSettings, "home">>;
  readonly #blobs: BlobStore;
  readonly #index: ImageIndex;
  readonly #unpacked: UnpackedImages;
  readonly #catalog: ImageCatalog;
  readonly #claims: ImageClaims;
  readonly #sweep: ImageSweep;
  readonly #locks: StoreLocks;
  readonly #temporary: TemporaryFolders;
  readonly #work = new SharedWork<Image, PullProgress>();
  #opened: Promise<void> | null = null;
  #clearLater = false;
  #inUse: () => Iterable<string>;

  constructor({ home, ...settings }: ImageStoreSettings) {
    const defaults = { mirrors: {}, insecureRegistries: [], localPrefixes: ["docker.io/aegis/"] };
    this.#settings = { ...defaults, refuseWhenFull: () => undefined, ...settings };
    const layout = join(settings.root, "oci");
    this.#locks = new StoreLocks(join(settings.root, "locks"));
    this.#blobs = new BlobStore(layout);
    this.#index = new ImageIndex(layout, this.#locks.index);
    this.#unpacked = new UnpackedImages(join(settings.root, "unpacked"));
    this.#catalog = new ImageCatalog(this.#blobs, this.#index, this.#unpacked);
    this.#temporary = new TemporaryFolders(join(settings.root, "tmp"));
    this.#claims = new ImageClaims(join(settings.root, "users"), home ?? null);
    this.#inUse = () => this.#claims.own;
    this.#sweep = new ImageSweep({
      blobs: this.#blobs,
      index: this.#index,
      catalog: this.#catalog,
      claims: this.#claims,
      unpacked: this.#unpacked,
      temporary: this.#temporary,
      isLocal: (name) => this.#isLocal(name),
    });
  }

  async find(ref: string): Promise<Image | null> {
    await this.#open();
    const [entry] = await this.#catalog.select(ref);
    return entry === undefined ? null : await this.#catalog.image(entry.manifest.digest);
  }

  async ensure(ref: string, onProgress?: OnProgress, signal?: AbortSignal): Promise<Image> {
    const found = await this.find(ref);
    if (found !== null) return await this.#withName(ref, found);
    if (/^sha256:[0-9a-f]+$/.test(ref)) throw notHere(ref);
    const reference = parseReference(ref);
    const name = formatReference(reference);
    const fetch: Fetch = async (target) => {
      const known = await this.#index.find(name);
      if (known !== null && (await this.#hasBlobs(known.manifest))) return known;
      if (this.#isLocal(name)) throw onlyMadeHere(name);
      this.#settings.refuseWhenFull();
      return { ...(await pullImage(reference, this.#settings, target)), imported: false };
    };
    return await this.#work.join(name, (tell, stop) => this.#add(name, fetch, tell, stop), onProgress, signal);
  }

  /** Takes an image from an OCI layout on this machine. A name that another image had is this one's afterwards. */
  async importLayout(layout: string, ref: string, onProgress?: OnProgress, signal?: AbortSignal): Promise<Image> {
    const name = formatReference(parseReference(ref));
    const manifest = await imageInLayout(layout, [ref, name]);
    const fetch: Fetch = async (target) => {
      this.#settings.refuseWhenFull();
      await takeImage(new BlobStore(layout), manifest, target);
      return { manifest, sourceDigests: [], imported: true };
    };
    const key = `${name} ${manifest.digest}`;
    return await this.#work.join(key, (tell, stop) => this.#add(name, fetch, tell, stop), onProgress, signal);
  }

  async use(
    { ref, digest, onPull }: WantedImage,
    onImage: (image: Image) => void,
    signal?: AbortSignal,
  ): Promise<Image> {
    await this.#open();
    for (;;) {
      const before = digest === null ? null : await this.#catalog.image(digest);
      const image = before ?? (await this.ensure(ref, onPull, signal));
      if (await this.#claimed(image, onImage, signal)) {
        await this.#unpacked.touch(image.digest);
        return image;
      }
    }
  }

  /** False when it was cleared away before it could be claimed. */
  async #claimed(image: Image, onImage: (image: Image) => void, signal?: AbortSignal): Promise<boolean> {
    const claim = () => {
      onImage(image);
      return true;
    };
    if (this.#claims.has(image.digest)) return claim();
    const work = async () => {
      await this.#claims.add([...this.#inUse(), image.digest]);
      return (await this.#unpacked.has(image.digest)) && claim();
    };
    return await this.#locks.store.hold("shared", work, signal).catch((error: unknown) => {
      throw storeFailure(error, this.#settings.root);
    });
  }

  async keep(inUse: () => Iterable<string>): Promise<void> {
    this.#inUse = inUse;
    await this.#open();
    await this.#locks.store.hold("shared", () => this.#claims.replace(inUse()));
  }

  async list(): Promise<ImageView[]> {
    await this.#open();
    return await this.#catalog.list([...(await this.#claims.all())].filter((claim) => claim.startsWith("sha256:")));
  }

  async remove(ref: string, check: (image: StoredImage) => void = () => undefined): Promise<void> {
    await this.#open();
    const entries = await this.#index.entries();
    const named = await this.#catalog.select(ref);
    const [first] = named;
    if (first === undefined) throw notHere(ref);
    const image = await this.#sweep.stored(first.manifest.digest, entries);
    check(image);
    const home = await this.#claims.otherHome((claim) => isClaimed(image, [claim]));
    if (home !== null) throw usedElsewhere(ref, home);
    await this.#index.remove(named.map((entry) => entry.ref));
    await this.#clearAway();
  }

  async prune(unwanted: (image: StoredImage) => boolean): Promise<Pruned> {
    await this.#open();
    const waiting = AbortSignal.timeout(PRUNE_WAIT_MS);
    const work = async () => {
      await this.#claims.replace(this.#inUse());
      return await this.#sweep.prune(unwanted);
    };
    return await this.#locks.store.hold("exclusive", work, waiting).catch((error: unknown) => {
      if (!waiting.aborted) throw error;
      throw new AegisError(
        "unavailable",
        "Images are being pulled, so nothing was pruned. Try again when they are here.",
      );
    });
  }

  /** Bytes on disk of everything in it, whoever uses it. */
  async size(): Promise<number> {
    await this.#open();
    const sizes = await Promise.all((await this.#unpacked.digests()).map((digest) => this.#unpacked.sizeOf(digest)));
    return sizes.reduce((sum, size) => sum + size, await this.#blobs.size());
  }

  /** An image that was found by the digest in a reference keeps that reference as one more name. */
  async #withName(ref: string, found: Image): Promise<Image> {
    if (!ref.includes("@")) return found;
    const name = formatReference(parseReference(ref));
    if (found.refs.includes(name)) return found;
    await this.#locks.store.hold("shared", async () => {
      const known = (await this.#index.entries()).find(({ manifest }) => manifest.digest === found.digest);
      if (known !== undefined) await this.#index.set({ ...known, ref: name });
    });
    return { ...found, refs: [...found.refs, name] };
  }

  async #open(): Promise<void> {
    this.#opened ??= this.#prepare().catch((error: unknown) => {
      this.#opened = null;
      throw storeFailure(error, this.#settings.root);
    });
    await this.#opened;
  }

  async #prepare(): Promise<void> {
    await this.#blobs.create();
    await this.#locks.create();
    await this.#unpacked.create();
    await this.#claims.open();
    await this.#temporary.clearDead();
    // A daemon that died between unpacking and naming, or between forgetting a name and clearing up, has left something.
    await this.#clearAway();
  }

  async #add(name: string, fetch: Fetch, onProgress: OnProgress, signal: AbortSignal): Promise<Image> {
    await this.#open();
    try {
      return await this.#locks.store.hold(
        "shared",
        () => this.#fetchAndUnpack(name, fetch, onProgress, signal),
        signal,
      );
    } catch (error) {
      if (isDiskFull(error)) this.#clearLater = true;
      throw storeFailure(error, this.#settings.root);
    } finally {
      if (this.#clearLater) await this.#clearAway();
    }
  }

  async #fetchAndUnpack(name: string, fetch: Fetch, onProgress: OnProgress, signal: AbortSignal): Promise<Image> {
    const pull = () => this.#temporary.use((temporary) => fetch({ blobs: this.#blobs, temporary, onProgress, signal }));
    const { manifest, sourceDigests, imported } = await this.#locks.pull(name).hold("exclusive", pull, signal);
    const unpack = () => this.#unpack(manifest, onProgress, signal);
    await this.#locks.unpack(manifest.digest).hold("exclusive", unpack, signal);
    onProgress({ phase: "finish", message: `${name} is ready`, doneBytes: null, totalBytes: null });
    await this.#index.set({ ref: name, manifest, sourceDigests, imported });
    const image = await this.#catalog.image(manifest.digest);
    if (image === null) throw new AegisError("internal", `${name} was unpacked and is gone again. Pull it once more.`);
    return image;
  }

  async #unpack(descriptor: Descriptor, onProgress: OnProgress, signal: AbortSignal): Promise<void> {
    if (await this.#unpacked.has(descriptor.digest)) return;
    const manifest = parseManifest(await this.#blobs.readJson(descriptor.digest));
    await this.#temporary.use(async (temporary) => {
      const { idMap } = this.#settings;
      await unpackImage({ blobs: this.#blobs, descriptor, manifest, folder: temporary, idMap, onProgress, signal });
      await this.#unpacked.add(descriptor.digest, temporary);
    });
  }

  /** Removes what nobody needs, unless somebody is adding right now; then after that. */
  async #clearAway(): Promise<void> {
    const done = await this.#locks.store.tryHold("exclusive", async () => {
      await this.#claims.replace(this.#inUse());
      await this.#sweep.clear();
      return true;
    });
    this.#clearLater = done === null;
  }

  async #hasBlobs(descriptor: Descriptor): Promise<boolean> {
    if (!(await this.#blobs.has(descriptor))) return false;
    const { config, layers } = parseManifest(await this.#blobs.readJson(descriptor.digest));
    const there = await Promise.all([config, ...layers].map((blob) => this.#blobs.has(blob)));
    return there.every(Boolean);
  }

  #isLocal(name: string): boolean {
    return ["localhost/", ...this.#settings.localPrefixes].some((prefix) => name.startsWith(prefix));
  }
}
