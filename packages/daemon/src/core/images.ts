import type { ImageView, PullPhase } from "@aegis/protocol/image";

/** The parts of an OCI image config that a boot needs. */
export interface ImageConfig {
  /** `NAME=value` */
  env: string[];
  entrypoint: string[];
  cmd: string[];
  /** `uid[:gid]` or names; empty is root */
  user: string;
  workingDir: string;
}

/** An image that is unpacked and ready to boot. */
export interface Image extends ImageView {
  /** host folder, owned by the instances' user range, never written */
  rootfs: string;
  /** host folder, not there at first, for what is made of the image: it goes with the image, and counts as a part of it */
  derived: string;
  config: ImageConfig;
  /** digests by which registries know this very image, where they differ from its own */
  sourceDigests: string[];
}

export interface PullProgress {
  phase: PullPhase;
  message: string;
  /** null where unknown */
  doneBytes: number | null;
  totalBytes: number | null;
}

export interface Images {
  /** The image that a reference (or a digest, or a unique prefix of one) names in the store; null when it is not there. */
  find(ref: string): Promise<Image | null>;
  /**
   * The image from the store, else pulled. Two pulls of the same image share one download.
   * @throws AegisError `invalid_request` (malformed), `image_not_found`, `registry_failed`, `image_invalid`, `disk_full`
   */
  ensure(ref: string, onProgress?: (progress: PullProgress) => void, signal?: AbortSignal): Promise<Image>;
  /**
   * The image for a boot: the one that the instance had before, if that is still there, else what the reference names.
   * @param onImage takes note that it is used: from then on it stays, as {@link keep} has it
   * @throws AegisError as {@link ensure}
   */
  use(wanted: WantedImage, onImage: (image: Image) => void, signal?: AbortSignal): Promise<Image>;
  /** From now on no image goes away that `inUse` gives, by digest or by reference; other daemons learn of it too. */
  keep(inUse: () => Iterable<string>): Promise<void>;
  /** Those that have a name, and those that are still used without one. */
  list(): Promise<ImageView[]>;
  /**
   * Takes a name away, and with the last one the image.
   * @param check throws when this one must not be removed
   * @throws AegisError `image_not_found`, `image_in_use` when another home needs it
   */
  remove(ref: string, check?: (image: StoredImage) => void): Promise<void>;
  /** Bytes on disk of all there are. */
  size(): Promise<number>;
  /** Removes images that no home needs, of those that are unwanted. Waits for pulls that are going on, but not for long. */
  prune(unwanted: (image: StoredImage) => boolean): Promise<Pruned>;
}

export interface WantedImage {
  ref: string;
  /** the one that it had before; null before the first boot */
  digest: string | null;
  onPull: (progress: PullProgress) => void;
}

/** What is asked about an image before it is taken away. */
export interface StoredImage {
  digest: string;
  refs: string[];
  /** when an instance booted from it last; before the first boot, when it came */
  usedAt: Date;
  /** no registry may be able to give it again */
  madeHere: boolean;
  /** whether a reference, digest or prefix of one names it now */
  isNamedBy(ref: string): boolean;
}

export interface Pruned {
  /** names */
  deleted: string[];
  freedBytes: number;
}

/** Takes images in that were built on this machine. */
export interface ImageImporter {
  /**
   * @param layout folder with an OCI image layout that holds one image
   * @throws AegisError `image_invalid`, `disk_full`
   */
  importLayout(
    layout: string,
    ref: string,
    onProgress?: (progress: PullProgress) => void,
    signal?: AbortSignal,
  ): Promise<Image>;
}
