import { createHash } from "node:crypto";
import { createReadStream, constants } from "node:fs";
import { copyFile, link, mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import type { Descriptor } from "./image-config.ts";

/** The `blobs` folder of an OCI layout: files named by the digest of what they hold. */
export class BlobStore {
  readonly folder: string;

  constructor(layout: string) {
    this.folder = join(layout, "blobs");
  }

  async create(): Promise<void> {
    await mkdir(join(this.folder, "sha256"), { recursive: true });
  }

  path(digest: string): string {
    return join(this.folder, digest.replace(":", "/"));
  }

  async has(blob: Descriptor): Promise<boolean> {
    return (await this.sizeOf(blob.digest)) === blob.size;
  }

  /** -1 when there is none */
  async sizeOf(digest: string): Promise<number> {
    return await stat(this.path(digest)).then(
      (found) => found.size,
      () => -1,
    );
  }

  /** @throws AegisError `image_invalid` when it is not there or not what its name says */
  async readJson(digest: string): Promise<unknown> {
    const text = await readFile(this.path(digest)).catch(() => null);
    if (text === null)
      throw new AegisError("image_invalid", `A part of the image is missing: ${digest}. Pull it again.`);
    if (digestOf(text) !== digest) throw await this.#corrupt(digest);
    try {
      return JSON.parse(text.toString("utf8"));
    } catch (error) {
      throw new AegisError("image_invalid", `A part of the image is not JSON: ${digest}.`, { cause: error });
    }
  }

  /** @throws AegisError `image_invalid` when the content is not what the name says; the blob is gone then */
  async verify(digest: string, signal?: AbortSignal): Promise<void> {
    const hash = createHash("sha256");
    const content = createReadStream(this.path(digest), { highWaterMark: 256 * 1024, ...(signal && { signal }) });
    for await (const chunk of content) hash.update(chunk as Buffer);
    if (`sha256:${hash.digest("hex")}` !== digest) throw await this.#corrupt(digest);
  }

  /** Takes a blob from another layout, without copying where that is possible; {@link verify} it afterwards. */
  async take(source: BlobStore, digest: string, temporary: string): Promise<void> {
    const from = source.path(digest);
    const copy = join(temporary, digest.replace(":", "-"));
    const { uid } = await stat(from);
    const linked =
      uid === process.getuid?.() &&
      (await link(from, copy).then(
        () => true,
        () => false,
      ));
    if (!linked) await copyFile(from, copy, constants.COPYFILE_FICLONE);
    await rename(copy, this.path(digest));
  }

  /** Removes every blob but the given ones. @returns how many bytes they had */
  async keepOnly(digests: ReadonlySet<string>): Promise<number> {
    let freed = 0;
    for (const digest of await this.#digests()) {
      if (digests.has(digest)) continue;
      freed += Math.max(await this.sizeOf(digest), 0);
      await rm(this.path(digest), { force: true });
    }
    return freed;
  }

  /** Bytes of all of them. */
  async size(): Promise<number> {
    const sizes = await Promise.all((await this.#digests()).map((digest) => this.sizeOf(digest)));
    return sizes.reduce((sum, size) => sum + Math.max(size, 0), 0);
  }

  async #digests(): Promise<string[]> {
    return (await readdir(join(this.folder, "sha256"))).map((hex) => `sha256:${hex}`);
  }

  async #corrupt(digest: string): Promise<AegisError> {
    await rm(this.path(digest), { force: true });
    return new AegisError("image_invalid", `A part of the image does not match its digest ${digest}. Pull it again.`);
  }
}

export const digestOf = (content: Uint8Array | string): string =>
  `sha256:${createHash("sha256").update(content).digest("hex")}`;
