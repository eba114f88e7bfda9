import type { ImageView, PullPhase } from "@aegis/protocol/instance";

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
  config: ImageConfig;
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
  list(): Promise<ImageView[]>;
  /** @throws AegisError `image_not_found` */
  remove(ref: string): Promise<void>;
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
