import { lchown, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FIRST_HOST_ID } from "./oci-config.ts";

/** Makes the writable layer of an instance, kept from boot to boot, if it is not there yet. */
export async function makeDisk(disk: string): Promise<void> {
  await mkdir(disk, { recursive: true, mode: 0o700 });
  for (const layer of ["upper", "work"]) {
    const folder = join(disk, layer);
    const made = await mkdir(folder, { mode: 0o755 }).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === "EEXIST") return false;
        throw error;
      },
    );
    if (made) await lchown(folder, FIRST_HOST_ID, FIRST_HOST_ID);
  }
}

export interface BootFiles {
  rootfs: string;
  disk: string;
  config: object;
  hostname: string;
  address: string;
  gateway: string;
}

/**
 * Fills a boot's folder. The overlay's layers are links in it: the mount then names them relative to the folder, which
 * takes any character in a path, and shows nothing of the host's folders to the instance.
 */
export async function fillBootFolder(folder: string, files: BootFiles): Promise<void> {
  const hosts = `127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n${files.address}\t${files.hostname}\n`;
  await Promise.all([
    symlink(files.rootfs, join(folder, "lower")),
    symlink(join(files.disk, "upper"), join(folder, "upper")),
    symlink(join(files.disk, "work"), join(folder, "work")),
    mkdir(join(folder, "rootfs"), { mode: 0o755 }),
    mkdir(join(folder, "workspace"), { mode: 0o755 }),
    writeFile(join(folder, "config.json"), JSON.stringify(files.config), { mode: 0o600 }),
    writeFile(join(folder, "resolv.conf"), `nameserver ${files.gateway}\n`, { mode: 0o644 }),
    writeFile(join(folder, "hosts"), hosts, { mode: 0o644 }),
    writeFile(join(folder, "hostname"), `${files.hostname}\n`, { mode: 0o644 }),
  ]);
}

/** An older boot's leavings go first: its machine is dead, or the caller would not boot another. */
export async function freshFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o711 });
}
