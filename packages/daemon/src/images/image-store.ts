import { mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import type { ImageView } from "@aegis/protocol/instance";
import type { Image, Images, PullProgress } from "../core/images.ts";
import { syncFolder } from "./atomic-file.ts";
import { BlobStore } from "./blob-store.ts";
import { ImageCatalog } from "./image-catalog.ts";
import { parseManifest, type Descriptor } from "./image-config.ts";
import { isDiskFull, storeFailure } from "./image-failure.ts";
import { ImageIndex } from "./image-index.ts";
import { imageInLayout, takeImage } from "./import-layout.ts";
import { pullImage, type Pulled, type PullTarget } from "./pull.ts";
import { formatReference, parseReference } from "./reference.ts";
import type { RegistrySettings } from "./registry-source.ts";
import { SharedWork } from "./shared-work.ts";
import { StoreLocks } from "./store-locks.ts";
import { TemporaryFolders } from "./temporary-folders.ts";
import { unpackImage } from "./unpack.ts";
import type { IdMap } from "./user-namespace.ts";

export interface ImageStoreSettings extends Partial<RegistrySettings> {
  /** folder of the store; several daemons may use it at the same time */
  root: string;
  /** who owns the unpacked files */
  idMap: IdMap;
  /** what images that are only ever made on this machine are called; they are never asked for in a registry */
  localPrefixes?: readonly string[];
}

type OnProgress = (progress: PullProgress) => void;
type Fetch = (target: PullTarget) => Promise<Pulled>;

/**
 * Images on this machine: an OCI layout (`oci/`), and each image unpacked once (`unpacked/sha256-.../rootfs`). What the index
 * names is complete. Who adds holds the store's lock shared; who clears away holds it alone.
 */
export class ImageStore implements Images {
  readonly #settings: Required<ImageStoreSettings>;
  readonly #blobs: BlobStore;
  readonly #index: ImageIndex;
  readonly #catalog: ImageCatalog;
  readonly #locks: StoreLocks;
  readonly #temporary: TemporaryFolders;
  readonly #work = new SharedWork<Image, PullProgress>();
  #opened: Promise<void> | null = null;
  #clearLater = false;

  constructor(settings: ImageStoreSettings) {
    this.#settings = { mirrors: {}, insecureRegistries: [], localPrefixes: ["docker.io/aegis/"], ...settings };
    const layout = join(settings.root, "oci");
    this.#locks = new StoreLocks(join(settings.root, "locks"));
    this.#blobs = new BlobStore(layout);
    this.#index = new ImageIndex(layout, this.#locks.index);
    this.#catalog = new ImageCatalog(this.#blobs, this.#index, join(settings.root, "unpacked"));
    this.#temporary = new TemporaryFolders(join(settings.root, "tmp"));
  }

  async find(ref: string): Promise<Image | null> {
    await this.#open();
    const { named, entries } = await this.#catalog.select(ref);
    return named[0] === undefined ? null : await this.#catalog.image(named[0], entries);
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
      return await pullImage(reference, this.#settings, target);
    };
    return await this.#work.join(name, (tell, stop) => this.#add(name, fetch, tell, stop), onProgress, signal);
  }

  /** Takes an image from an OCI layout on this machine. A name that another image had is this one's afterwards. */
  async importLayout(layout: string, ref: string, onProgress?: OnProgress, signal?: AbortSignal): Promise<Image> {
    const name = formatReference(parseReference(ref));
    const manifest = await imageInLayout(layout, [ref, name]);
    const fetch: Fetch = async (target) => {
      await takeImage(new BlobStore(layout), manifest, target);
      return { manifest, sourceDigests: [] };
    };
    const key = `${name} ${manifest.digest}`;
    return await this.#work.join(key, (tell, stop) => this.#add(name, fetch, tell, stop), onProgress, signal);
  }

  async list(): Promise<ImageView[]> {
    await this.#open();
    return await this.#catalog.list();
  }

  async remove(ref: string): Promise<void> {
    await this.#open();
    const { named } = await this.#catalog.select(ref);
    if (named.length === 0) throw notHere(ref);
    await this.#index.remove(named.map((entry) => entry.ref));
    await this.#clearAway();
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
    await mkdir(this.#unpacked, { recursive: true, mode: 0o700 });
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
    const { manifest, sourceDigests } = await this.#locks.pull(name).hold("exclusive", pull, signal);
    const unpack = () => this.#unpack(manifest, onProgress, signal);
    await this.#locks.unpack(manifest.digest).hold("exclusive", unpack, signal);
    onProgress({ phase: "finish", message: `${name} is ready`, doneBytes: null, totalBytes: null });
    const entry = { ref: name, manifest, sourceDigests };
    await this.#index.set(entry);
    const image = await this.#catalog.image(entry, await this.#index.entries());
    if (image === null) throw new AegisError("internal", `${name} was unpacked and is gone again. Pull it once more.`);
    return image;
  }

  async #unpack(descriptor: Descriptor, onProgress: OnProgress, signal: AbortSignal): Promise<void> {
    if (await this.#catalog.isUnpacked(descriptor.digest)) return;
    const manifest = parseManifest(await this.#blobs.readJson(descriptor.digest));
    await this.#temporary.use(async (temporary) => {
      const { idMap } = this.#settings;
      await unpackImage({ blobs: this.#blobs, descriptor, manifest, folder: temporary, idMap, onProgress, signal });
      const finished = join(temporary, "image");
      await mkdir(finished);
      await rename(join(temporary, "rootfs"), join(finished, "rootfs"));
      await rename(finished, this.#catalog.folderOf(descriptor.digest));
      await syncFolder(this.#unpacked);
    });
  }

  /** Removes what no reference names, unless somebody is adding right now; then after that. */
  async #clearAway(): Promise<void> {
    const done = await this.#locks.store.tryHold("exclusive", async () => {
      const entries = await this.#index.entries();
      const folders = new Set(entries.map(({ manifest }) => this.#catalog.folderOf(manifest.digest)));
      await this.#temporary.use(async (trash) => {
        for (const name of await readdir(this.#unpacked)) {
          if (!folders.has(join(this.#unpacked, name))) await rename(join(this.#unpacked, name), join(trash, name));
        }
      });
      await this.#blobs.keepOnly(await this.#catalog.blobsOf(entries));
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

  get #unpacked(): string {
    return join(this.#settings.root, "unpacked");
  }
}

const notHere = (ref: string) =>
  new AegisError(
    "image_not_found",
    `There is no image ${ref} on this machine. "aegis image list" shows those there are.`,
  );

const onlyMadeHere = (name: string) =>
  new AegisError(
    "image_not_found",
    `There is no image ${name} on this machine, and images of this name are only ever made here, never pulled.`,
  );
