import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { AegisError } from "@aegis/protocol/errors";
import Type, { type Static } from "typebox";
import { Check } from "typebox/value";
import { exists } from "../linux/cgroup-layout.ts";
import { diskFull, saysDiskFull } from "../linux/disk-full.ts";
import { snapshotPath } from "../linux/disk-image.ts";
import { hostBootId } from "../linux/process-identity.ts";
import type { FillOrder } from "./fill-order.ts";
import { seal, unseal } from "./sealed-stream.ts";

/** What must be the same when a machine is taken up again. */
export const SnapshotFacts = Type.Object({
  version: Type.Literal(2),
  /** its own: what was sealed under another one belongs to another time */
  id: Type.String(),
  /** version and accelerator of QEMU, kernel and harness: a machine's memory means nothing to others */
  platform: Type.String(),
  memoryMb: Type.Integer(),
  vcpus: Type.Number(),
  /** the read-only disk of the image */
  image: Type.String(),
  /** that it had: with the same one again, its network is as it knows it */
  address: Type.String(),
  /** size and last change of the instance's disk, which its kernel believes to know */
  disk: Type.String(),
});
export type SnapshotFacts = Static<typeof SnapshotFacts>;
/** Those that are known from the boot on. */
export type BootFacts = Omit<SnapshotFacts, "id" | "disk">;

const DEVICES = "devices.sealed";
const MEMORY = "memory.sealed";
const FACTS = "facts.json";
/** in front of the id of a boot of the host */
const CLAIM = "claim-";
const CHUNK_BYTES = 256 * 1024;

/** What seals a machine that is being written down: `subject` names the instance and the snapshot. */
export interface Sealing {
  key: Uint8Array;
  subject: string;
}

/** A machine that was written down. */
export interface WrittenMachine {
  /** the state of its devices; the bytes are checked as they are read */
  devices: AsyncIterable<Buffer>;
  memory: SealedMemory;
}

/** Sealed pages (guest-pages.ts), and what opens them. */
export interface SealedMemory {
  file: string;
  order: FillOrder;
}

/** Where the memory of one hibernated machine lies. The facts come last: without them there is no snapshot. */
export class SnapshotFolder {
  readonly #folder: string;
  #isClaimed = false;

  /** @param folder of its own */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Comes first: whatever was here is gone. @throws AegisError `disk_full` */
  async writeDevices(source: AsyncIterable<Uint8Array>, sealing: Sealing, signal: AbortSignal): Promise<void> {
    await this.drop();
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await this.#write(DEVICES, source, sealing, signal);
  }

  /** @throws AegisError `disk_full` */
  async writeMemory(pages: AsyncIterable<Uint8Array>, sealing: Sealing, signal: AbortSignal): Promise<void> {
    await this.#write(MEMORY, pages, sealing, signal);
  }

  async #write(
    name: string,
    source: AsyncIterable<Uint8Array>,
    { key, subject }: Sealing,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      const file = createWriteStream(join(this.#folder, name), {
        mode: 0o600,
        flush: true,
        highWaterMark: 4 * CHUNK_BYTES,
      });
      await pipeline(seal(source, key, partOf(subject, name)), file, { signal });
    } catch (error) {
      await this.drop();
      throw asDiskFull(error);
    }
  }

  /** @throws AegisError `disk_full` */
  async writeFacts(facts: SnapshotFacts): Promise<void> {
    try {
      const draft = join(this.#folder, `${FACTS}.new`);
      await writeFile(draft, JSON.stringify(facts), { mode: 0o600, flush: true });
      await rename(draft, join(this.#folder, FACTS));
      await syncFolder(this.#folder);
      await syncFolder(dirname(this.#folder));
    } catch (error) {
      throw asDiskFull(error);
    }
  }

  /** @throws AegisError `snapshot_unusable` when there is none, or only half of one */
  async readFacts(): Promise<SnapshotFacts> {
    const text = await readFile(join(this.#folder, FACTS), "utf8").catch(() => null);
    const facts: unknown = text === null ? null : JSON.parse(text);
    if (!Check(SnapshotFacts, facts))
      throw unusable("its memory was not written down as a whole, or by another version of Aegis");
    const claims = (await readdir(this.#folder)).filter((name) => name.startsWith(CLAIM));
    const own = CLAIM + (await hostBootId());
    if (claims.some((name) => name !== own)) throw unusable("the host went down while it was being taken up");
    return facts;
  }

  /** @param sealing as it was written with @throws AegisError `snapshot_unusable` when it is not there */
  async open({ key, subject }: Sealing): Promise<WrittenMachine> {
    const [devices, file] = [join(this.#folder, DEVICES), join(this.#folder, MEMORY)];
    if (!((await exists(devices)) && (await exists(file)))) throw unusable("its memory is not there");
    return {
      devices: unseal(chunksOf(devices), key, partOf(subject, DEVICES)),
      memory: { file, order: { key: Buffer.from(key).toString("hex"), subject: partOf(subject, MEMORY) } },
    };
  }

  /**
   * From now on it is good for this boot of the host alone: after another one nobody could tell whether its machine has run
   * meanwhile. So {@link useUp} need not wait for the disk. Where this cannot be written, as on a full disk, that does.
   * Never rejects.
   */
  async claim(): Promise<void> {
    try {
      await writeFile(join(this.#folder, CLAIM + (await hostBootId())), "", { mode: 0o600 });
      await syncFolder(this.#folder);
      this.#isClaimed = true;
    } catch {
      this.#isClaimed = false;
    }
  }

  /** From now on there is no snapshot, also when the host goes down. What is left of it is for {@link drop}, which takes longer. */
  async useUp(): Promise<void> {
    await rm(join(this.#folder, FACTS));
    if (!this.#isClaimed) await syncFolder(this.#folder);
  }

  /** For good, also when the host goes down now. Idempotent. */
  async drop(): Promise<void> {
    if (!(await exists(this.#folder))) return;
    await rm(this.#folder, { recursive: true, force: true });
    this.#isClaimed = false;
    await syncFolder(dirname(this.#folder));
  }
}

/** Opened by whoever reads it, and not before. */
async function* chunksOf(file: string): AsyncGenerator<Buffer, void> {
  yield* createReadStream(file, { highWaterMark: CHUNK_BYTES });
}

const partOf = (subject: string, name: string): string => `${subject}\0${name}`;

/** @param instance whose memory it is @param id of the snapshot */
export const sealingOf = (key: Uint8Array, instance: string, id: string): Sealing => ({
  key,
  subject: `${instance}\0${id}`,
});

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path);
  await folder.sync();
}

const asDiskFull = (error: unknown): unknown =>
  error instanceof Error && saysDiskFull(error.message) ? diskFull(error) : error;

export const snapshotFolder = (diskFolder: string): SnapshotFolder => new SnapshotFolder(snapshotPath(diskFolder));

/** Changes when anybody but the machine that is written down has written to the disk. */
export async function diskFingerprint(path: string): Promise<string> {
  const { size, mtimeNs, ino } = await stat(path, { bigint: true });
  return `${ino}:${size}:${mtimeNs}`;
}

export const unusable = (why: string, cause?: unknown): AegisError =>
  new AegisError("snapshot_unusable", `The instance cannot be taken up where it was: ${why}.`, { cause });
