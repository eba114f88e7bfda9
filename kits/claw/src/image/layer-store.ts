import { createHash, type Hash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";

export const LAYER_TAR = "application/vnd.oci.image.layer.v1.tar";

export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
}

export interface Layer {
  blob: Descriptor;
  /** digest of the uncompressed tar */
  diffId: string;
}

/**
 * An OCI layout (`oci/`) that is filled layer by layer, with a note (`steps/<key>.json`) of which layers a step made. Things
 * appear under their names by rename, so a build that was killed leaves only what {@link open} clears away.
 */
export class LayerStore {
  readonly layout: string;
  readonly #steps: string;
  readonly #scratch: string;
  #scratchCount = 0;

  constructor(workDir: string) {
    this.layout = join(workDir, "oci");
    this.#steps = join(workDir, "steps");
    this.#scratch = join(workDir, "scratch");
  }

  /** Call with the lock of the work folder held: it clears what an interrupted build left. */
  async open(): Promise<void> {
    await this.close();
    for (const folder of [join(this.layout, "blobs/sha256"), this.#steps, this.#scratch]) {
      await mkdir(folder, { recursive: true });
    }
    await this.#writeFile(join(this.layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  }

  async close(): Promise<void> {
    await rm(this.#scratch, { recursive: true, force: true });
  }

  /** An empty folder, gone with {@link close}. */
  async scratch(): Promise<string> {
    const folder = join(this.#scratch, String(++this.#scratchCount));
    await mkdir(folder, { recursive: true });
    return folder;
  }

  /** The layers of a step, from an earlier build when they are all still there. Null (nothing to build from) is not kept. */
  async cached<T extends Layer[] | null>(key: string, build: () => Promise<T>): Promise<Layer[] | T> {
    const note = join(this.#steps, `${key}.json`);
    const known = await readLayers(note);
    if (known !== null && (await this.#holdsAll(known))) return known;
    const layers = await build();
    if (layers !== null) await this.#writeFile(note, JSON.stringify(layers));
    return layers;
  }

  async has(key: string): Promise<boolean> {
    const known = await readLayers(join(this.#steps, `${key}.json`));
    return known !== null && (await this.#holdsAll(known));
  }

  /** Writes what `produce` pipes into the stream as an uncompressed layer. */
  async addTar(produce: (sink: Transform) => Promise<unknown>): Promise<Layer> {
    const temporary = join(await this.scratch(), "layer.tar");
    const hash = createHash("sha256");
    const counter = new HashingStream(hash);
    const written = pipeline(counter, createWriteStream(temporary));
    await Promise.all([produce(counter), written]);
    const digest = `sha256:${hash.digest("hex")}`;
    await this.#keep(temporary, digest);
    return { blob: { mediaType: LAYER_TAR, digest, size: counter.bytes }, diffId: digest };
  }

  async addJson(mediaType: string, value: unknown): Promise<Descriptor> {
    const text = JSON.stringify(value);
    const temporary = join(await this.scratch(), "blob.json");
    await writeFile(temporary, text);
    const digest = `sha256:${createHash("sha256").update(text).digest("hex")}`;
    await this.#keep(temporary, digest);
    return { mediaType, digest, size: Buffer.byteLength(text) };
  }

  /** Takes over a blob that a tool wrote into a layout of its own (and named by its digest). */
  async adopt(layout: string, digest: string): Promise<void> {
    await this.#keep(join(layout, "blobs", digest.replace(":", "/")), digest);
  }

  async writeIndex(manifest: Descriptor, ref: string): Promise<void> {
    const entry = { ...manifest, annotations: { "org.opencontainers.image.ref.name": ref } };
    const index = { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [entry] };
    await this.#writeFile(join(this.layout, "index.json"), JSON.stringify(index));
  }

  /** Removes every step and blob that the given ones do not need. */
  async prune(keys: readonly string[], digests: ReadonlySet<string>): Promise<void> {
    for (const file of await readdir(this.#steps)) {
      if (!keys.includes(file.replace(/\.json$/, ""))) await rm(join(this.#steps, file));
    }
    const blobs = join(this.layout, "blobs/sha256");
    for (const hex of await readdir(blobs)) if (!digests.has(`sha256:${hex}`)) await rm(join(blobs, hex));
  }

  #blobPath(digest: string): string {
    return join(this.layout, "blobs", digest.replace(":", "/"));
  }

  async #holdsAll(layers: Layer[]): Promise<boolean> {
    for (const { blob } of layers) {
      const size = await stat(this.#blobPath(blob.digest)).then(
        (found) => found.size,
        () => -1,
      );
      if (size !== blob.size) return false;
    }
    return true;
  }

  async #keep(file: string, digest: string): Promise<void> {
    await syncFile(file);
    await rename(file, this.#blobPath(digest));
  }

  async #writeFile(path: string, text: string): Promise<void> {
    const temporary = join(await this.scratch(), "file");
    await writeFile(temporary, text);
    await syncFile(temporary);
    await rename(temporary, path);
  }
}

class HashingStream extends Transform {
  bytes = 0;
  readonly #hash: Hash;

  constructor(hash: Hash) {
    super({ highWaterMark: 1024 * 1024 });
    this.#hash = hash;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: (error: null, data: Buffer) => void): void {
    this.#hash.update(chunk);
    this.bytes += chunk.length;
    done(null, chunk);
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

async function readLayers(note: string): Promise<Layer[] | null> {
  const text = await readFile(note, "utf8").catch(() => null);
  return text === null ? null : (JSON.parse(text) as Layer[]);
}
