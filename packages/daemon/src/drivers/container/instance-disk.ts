import { lchown, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { exists } from "../linux/cgroup-layout.ts";
import { fitDiskImage, imagePath, isPlainDisk, makeDiskImage, plainLayers } from "../linux/disk-image.ts";
import { FIRST_HOST_ID } from "../linux/oci-config.ts";
import type { SpareDisk } from "./spare-disk.ts";

/** Where a boot mounts the image, in its own folder. */
const DISK_MOUNT = "disk";

/** The writable layer of an instance as a boot finds it. */
export interface InstanceDisk {
  /** to be mounted at {@link DISK_MOUNT}; null where the layers are plain folders of the host */
  image: string | null;
  /** what the overlay's layers are, absolute or relative to the boot's folder */
  upper: string;
  work: string;
}

export interface DiskWish {
  /** false where the host mounts no images; one that is there is mounted nevertheless, for what is in it */
  asImage: boolean;
  sizeMb: number;
  /** where an image may be ready made */
  spare?: Pick<SpareDisk, "take">;
}

/**
 * Makes the writable layer of an instance, kept from boot to boot, if it is not there yet: an image of a bounded size.
 * Plain folders, without a bound, are used where the host can mount no image, and by instances that began with them.
 * @throws AegisError `disk_full`, or `driver_failed` when the image cannot be used
 */
export async function openDisk(folder: string, bootFolder: string, wish: DiskWish): Promise<InstanceDisk> {
  const { asImage, sizeMb } = wish;
  const image = imagePath(folder);
  const mountPoint = join(bootFolder, DISK_MOUNT);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const isThere = await exists(image);
  if (!isThere && (!asImage || (await isPlainDisk(folder)))) return plainFolders(folder);
  await mkdir(mountPoint, { mode: 0o700 });
  if (isThere) await fitDiskImage(image, sizeMb);
  else if (wish.spare?.take(image, sizeMb) !== true) await makeDiskImage(image, sizeMb, mountPoint);
  return { image, upper: join(DISK_MOUNT, "upper"), work: join(DISK_MOUNT, "work") };
}

async function plainFolders(folder: string): Promise<InstanceDisk> {
  const layers = plainLayers(folder);
  for (const layer of Object.values(layers)) {
    const made = await mkdir(layer, { mode: 0o755 }).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === "EEXIST") return false;
        throw error;
      },
    );
    if (made) await lchown(layer, FIRST_HOST_ID, FIRST_HOST_ID);
  }
  return { image: null, ...layers };
}
