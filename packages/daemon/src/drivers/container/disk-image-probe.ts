import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { AegisError, messageOf } from "@aegis/protocol/errors";
import { ATTACH_DISK } from "./attach-disk.ts";
import { openDisk } from "./instance-disk.ts";
import { runCommand } from "../linux/run-command.ts";

const PROBE_MB = 64;
const SCRIPT = `
set -eu
${ATTACH_DISK}
cd "$1"
attach_disk "$2"
umount disk
`;

/**
 * Tries out whether the disks of instances can be images, on the file system where they would lie.
 * @returns null when they can, else what stands in the way
 */
export async function whyNoDiskImages(data: string): Promise<string | null> {
  const folder = join(data, "disk-probe");
  try {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const { image } = await openDisk(join(folder, "image"), folder, { asImage: true, sizeMb: PROBE_MB });
    await runCommand("unshare", ["-m", "sh", "-c", SCRIPT, "aegis-probe", folder, image ?? ""]);
    return null;
  } catch (error) {
    // Room can come back, and until then a boot says itself what it lacks.
    if (error instanceof AegisError && error.code === "disk_full") return null;
    return messageOf(error);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
