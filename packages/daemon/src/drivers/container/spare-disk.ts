import { renameSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { makeDiskImage } from "../linux/disk-image.ts";

/** A boot that has just ended is followed by its workload's start, which comes first. */
const PREPARE_AFTER_MS = 300;

/** A disk image that was made ahead: the next instance that is created need not wait for its own. */
export class SpareDisk {
  readonly #folder: string;
  readonly #warn: (message: string) => void;
  /** MB of the one that is ready */
  #readyMb: number | null = null;
  #wantedMb: number | null = null;
  #timer: NodeJS.Timeout | undefined;
  #making: Promise<void> | null = null;

  constructor(folder: string, warn: (message: string) => void) {
    this.#folder = folder;
    this.#warn = warn;
  }

  /** What an earlier daemon has left is not used: nobody knows whether it reached the disk as a whole. */
  async start(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
  }

  /** Moves it to `path`. @returns false when there is none of that size */
  take(path: string, sizeMb: number): boolean {
    if (this.#readyMb !== sizeMb) return false;
    this.#readyMb = null;
    renameSync(this.#image, path);
    return true;
  }

  /** Has one of that size ready in a moment, unless there is one. */
  prepare(sizeMb: number): void {
    this.#wantedMb = sizeMb;
    if (this.#readyMb === sizeMb || this.#making !== null) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#making = this.#make(sizeMb).finally(() => (this.#making = null));
    }, PREPARE_AFTER_MS);
    this.#timer.unref();
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#making;
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** A spare that cannot be made is no harm: whoever needs a disk makes it, and says what is wrong. */
  async #make(sizeMb: number): Promise<void> {
    const layers = join(this.#folder, "layers");
    try {
      this.#readyMb = null;
      await rm(layers, { recursive: true, force: true });
      await mkdir(layers);
      await makeDiskImage(this.#image, sizeMb, layers);
      if (this.#wantedMb === sizeMb) this.#readyMb = sizeMb;
    } catch (error) {
      this.#warn(`no disk image could be made ahead: ${String(error)}`);
    }
  }

  get #image(): string {
    return join(this.#folder, "image.ext4");
  }
}
