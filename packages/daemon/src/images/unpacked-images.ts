import { mkdir, readdir, readFile, rename, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { syncFolder } from "./atomic-file.ts";
import { runTool } from "./run-tool.ts";

const SIZE_FILE = "size";

/** The unpacked images of a store: a folder for each, with its `rootfs`, a note of how large that is, and what was made of it. */
export class UnpackedImages {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async create(): Promise<void> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
  }

  /** Host folder that the unpacked image has or will have. */
  rootfsOf(digest: string): string {
    return join(this.#folderOf(digest), "rootfs");
  }

  /** Where backends keep what they make of it. */
  derivedOf(digest: string): string {
    return join(this.#folderOf(digest), "derived");
  }

  async has(digest: string): Promise<boolean> {
    return await stat(this.rootfsOf(digest)).then(
      () => true,
      () => false,
    );
  }

  async digests(): Promise<string[]> {
    return (await readdir(this.#root)).map((name) => name.replace("-", ":"));
  }

  /** Takes over a finished `rootfs`. It is there as a whole or not at all. @param temporary folder that holds it */
  async add(digest: string, temporary: string): Promise<void> {
    const finished = join(temporary, "image");
    await mkdir(finished);
    await rename(join(temporary, "rootfs"), join(finished, "rootfs"));
    await noteSize(finished);
    await rename(finished, this.#folderOf(digest));
    await syncFolder(this.#root);
  }

  /** Takes one out of the store. @returns how many bytes it has on disk */
  async moveTo(trash: string, digest: string): Promise<number> {
    const bytes = await this.sizeOf(digest);
    await rename(this.#folderOf(digest), join(trash, digest.replace(":", "-")));
    return bytes;
  }

  /** Bytes on disk, 0 for what is not there as a whole. The many files of its `rootfs` are measured once. */
  async sizeOf(digest: string): Promise<number> {
    if (!(await this.has(digest))) return 0;
    const noted = await readFile(join(this.#folderOf(digest), SIZE_FILE), "utf8").catch(() => null);
    const rootfs = noted === null ? await noteSize(this.#folderOf(digest)) : Number(noted);
    return rootfs + (await bytesOf(this.derivedOf(digest)));
  }

  /** Notes that an instance boots from it. A disk that takes no writes is no reason not to. */
  async touch(digest: string): Promise<void> {
    const now = new Date();
    await utimes(join(this.#folderOf(digest), SIZE_FILE), now, now).catch(() => undefined);
  }

  /** When an instance booted from it last; before the first boot, when it was unpacked. */
  async usedAt(digest: string): Promise<Date> {
    await this.sizeOf(digest);
    return await stat(join(this.#folderOf(digest), SIZE_FILE)).then(
      ({ mtime }) => mtime,
      () => new Date(),
    );
  }

  #folderOf(digest: string): string {
    return join(this.#root, digest.replace(":", "-"));
  }
}

async function bytesOf(folder: string): Promise<number> {
  const isThere = await stat(folder).catch(() => null);
  if (isThere === null) return 0;
  return Number.parseInt(await runTool(["du", "--summarize", "--block-size=1", folder]), 10);
}

async function noteSize(folder: string): Promise<number> {
  const bytes = await bytesOf(join(folder, "rootfs"));
  await writeFile(join(folder, SIZE_FILE), String(bytes)).catch(() => undefined);
  return bytes;
}
