import { chown, mkdir, open, rename, rm, stat, truncate } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AegisError, messageOf } from "@aegis/protocol/errors";
import { exists } from "./cgroup-layout.ts";
import { diskFull, saysDiskFull } from "./disk-full.ts";
import { FIRST_HOST_ID } from "./oci-config.ts";
import { runCommand } from "./run-command.ts";

const MB = 1024 * 1024;
const BLOCK_BYTES = 4096;
/** one inode for so many bytes: what bounds the number of files */
const BYTES_PER_INODE = 16_384;
const MAX_JOURNAL_MB = 8;
/** where an ext4 superblock is in the file, and what is read of it */
const SUPERBLOCK = { at: 1024, blocks: 0x04, magic: 0x38, state: 0x3a, length: 64 };
const MAGIC = 0xef53;
/** the kernel met an error and stopped writing */
const STATE_ERROR = 0x2;
/** exit codes of e2fsck: nothing to do, everything corrected, and corrected with a wish for a reboot */
const CHECK_MS = 600_000;
const CHECKED = [0, 1, 2];

/** Where the image of a disk is in the disk's folder. */
export const imagePath = (folder: string): string => join(folder, "image.ext4");

/** Where the memory of a hibernated machine lies, beside its disk's folder. */
export const snapshotPath = (folder: string): string => join(dirname(folder), "snapshot");

/** Of a container on a host that mounts no images: what it writes is in the disk's folder itself. */
export const plainLayers = (folder: string) => ({ upper: join(folder, "upper"), work: join(folder, "work") });

/** Whether what an instance wrote is there as plain folders, which no image takes the place of. */
export const isPlainDisk = async (folder: string): Promise<boolean> =>
  !(await exists(imagePath(folder))) && (await exists(plainLayers(folder).upper));

/**
 * Makes a sparse file with an empty ext4 in it that holds the layers of an overlay. The file appears whole or not at all.
 * With a journal, so that a power cut needs no check; without anything that is written ahead of use.
 * @param layers an empty folder, filled with what the file system starts with
 * @throws AegisError `disk_full`
 */
export async function makeDiskImage(path: string, sizeMb: number, layers: string): Promise<void> {
  for (const layer of ["upper", "work"]) {
    await mkdir(join(layers, layer), { mode: 0o755 });
    await chown(join(layers, layer), FIRST_HOST_ID, FIRST_HOST_ID);
  }
  const draft = `${path}.new`;
  await rm(draft, { force: true });
  await (await open(draft, "wx", 0o600)).close();
  await truncate(draft, sizeMb * MB);
  const journalMb = Math.max(4, Math.min(MAX_JOURNAL_MB, Math.floor(sizeMb / 16)));
  await tool(
    "mkfs.ext4",
    ["-q", "-F", "-m", "0", "-b", String(BLOCK_BYTES), "-i", String(BYTES_PER_INODE), "-I", "256"],
    ["-O", "^resize_inode", "-J", `size=${journalMb}`, "-d", layers],
    ["-E", "nodiscard,lazy_itable_init=0,assume_storage_prezeroed=1"],
    [draft],
  );
  await rename(draft, path);
}

/**
 * Makes an image fit for the next mount: checked where the kernel has met an error in it, grown where it is to be larger.
 * @throws AegisError `driver_failed` when it is damaged beyond what a check mends
 */
export async function fitDiskImage(path: string, sizeMb: number): Promise<void> {
  const { blocks, state } = await readSuperblock(path);
  const wanted = Math.floor((sizeMb * MB) / BLOCK_BYTES);
  const grows = blocks < wanted;
  if (!grows && (state & STATE_ERROR) === 0) return;
  if ((await runCommand("losetup", ["--associated", path])) !== "")
    throw new AegisError(
      "driver_failed",
      "The instance cannot start: its disk is still in use by its last boot. Start it again in a moment.",
    );
  await runCommand("e2fsck", ["-f", "-p", path], { timeoutMs: CHECK_MS, accepts: CHECKED }).catch((error: unknown) => {
    throw damaged(messageOf(error));
  });
  if (grows) await tool("resize2fs", [path, `${wanted}`]);
}

const damaged = (why: string): AegisError =>
  new AegisError(
    "driver_failed",
    `The instance cannot start: its disk is damaged, ${why}. Put its file image.ext4 back from a backup, or delete the instance.`,
  );

async function readSuperblock(path: string): Promise<{ blocks: number; state: number }> {
  const file = await open(path, "r");
  try {
    const buffer = Buffer.alloc(SUPERBLOCK.length);
    await file.read(buffer, 0, SUPERBLOCK.length, SUPERBLOCK.at);
    if (buffer.readUInt16LE(SUPERBLOCK.magic) !== MAGIC) throw damaged("it holds no file system");
    return { blocks: buffer.readUInt32LE(SUPERBLOCK.blocks), state: buffer.readUInt16LE(SUPERBLOCK.state) };
  } finally {
    await file.close();
  }
}

/** What an image takes of the host's disk; null when there is none. */
export async function diskImageBytes(path: string): Promise<number | null> {
  try {
    return (await stat(path)).blocks * 512;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

async function tool(command: string, ...args: string[][]): Promise<void> {
  try {
    await runCommand(command, args.flat(), { timeoutMs: CHECK_MS });
  } catch (error) {
    throw error instanceof Error && saysDiskFull(error.message) ? diskFull(error) : error;
  }
}
