import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { AegisError } from "@aegis/protocol/errors";
import Type, { type Static } from "typebox";
import { Check } from "typebox/value";
import { diskFull, saysDiskFull } from "../linux/disk-full.ts";
import { seal, unseal } from "./sealed-stream.ts";

/** What must be the same when a machine is taken up again. */
export const SnapshotFacts = Type.Object({
  version: Type.Literal(1),
  /** version and accelerator of QEMU, kernel and harness: a machine's memory means nothing to others */
  platform: Type.String(),
  memoryMb: Type.Integer(),
  vcpus: Type.Number(),
  /** the read-only disk of the image */
  image: Type.String(),
  /** size and last change of the instance's disk, which its kernel believes to know */
  disk: Type.String(),
});
export type SnapshotFacts = Static<typeof SnapshotFacts>;

const MEMORY = "memory.sealed";
const FACTS = "facts.json";

/** Where the memory of one hibernated machine lies. The facts come last: without them there is no snapshot. */
export class SnapshotFolder {
  readonly #folder: string;

  /** @param folder of its own */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @throws AegisError `disk_full` */
  async writeMemory(
    source: AsyncIterable<Uint8Array>,
    key: Uint8Array,
    subject: string,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await this.drop();
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      const file = join(this.#folder, MEMORY);
      await pipeline(seal(source, key, subject), createWriteStream(file, { mode: 0o600, flush: true }), { signal });
    } catch (error) {
      await this.drop();
      throw error instanceof Error && saysDiskFull(error.message) ? diskFull(error) : error;
    }
  }

  async writeFacts(facts: SnapshotFacts): Promise<void> {
    const draft = join(this.#folder, `${FACTS}.new`);
    await writeFile(draft, JSON.stringify(facts), { mode: 0o600, flush: true });
    await rename(draft, join(this.#folder, FACTS));
    await using folder = await open(this.#folder);
    await folder.sync();
  }

  /** @throws AegisError `snapshot_unusable` when there is none, or only half of one */
  async readFacts(): Promise<SnapshotFacts> {
    const text = await readFile(join(this.#folder, FACTS), "utf8").catch(() => null);
    const facts: unknown = text === null ? null : JSON.parse(text);
    if (!Check(SnapshotFacts, facts)) throw unusable("its memory was not written down as a whole");
    return facts;
  }

  /** Opens the memory and removes it: it can be taken up once. The bytes are checked as they are read. */
  async takeMemory(key: Uint8Array, subject: string): Promise<AsyncIterable<Buffer>> {
    const file = await open(join(this.#folder, MEMORY)).catch(() => {
      throw unusable("its memory is not there");
    });
    await this.drop();
    return unseal(createReadStream("", { fd: file, autoClose: true, highWaterMark: 1024 * 1024 }), key, subject);
  }

  /** Idempotent. */
  async drop(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

export const snapshotFolder = (diskFolder: string): SnapshotFolder =>
  new SnapshotFolder(join(dirname(diskFolder), "snapshot"));

/** Changes when anybody but the machine that is written down has written to the disk. */
export async function diskFingerprint(path: string): Promise<string> {
  const { size, mtimeNs, ino } = await stat(path, { bigint: true });
  return `${ino}:${size}:${mtimeNs}`;
}

export const unusable = (why: string, cause?: unknown): AegisError =>
  new AegisError("snapshot_unusable", `The instance cannot be taken up where it was: ${why}.`, { cause });
