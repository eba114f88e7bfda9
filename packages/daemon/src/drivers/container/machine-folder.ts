import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { InstanceDisk } from "./instance-disk.ts";

export interface BootFiles {
  rootfs: string;
  config: object;
  hostname: string;
  address: string;
  gateway: string;
}

/**
 * Fills a boot's folder. The overlay's layers are links in it: the mount then names them relative to the folder, which
 * takes any character in a path, and shows nothing of the host's folders to the instance. The writable ones come from
 * {@link linkDisk}.
 */
export async function fillBootFolder(folder: string, files: BootFiles): Promise<void> {
  const hosts = `127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n${files.address}\t${files.hostname}\n`;
  await Promise.all([
    symlink(files.rootfs, join(folder, "lower")),
    mkdir(join(folder, "rootfs"), { mode: 0o755 }),
    mkdir(join(folder, "workspace"), { mode: 0o755 }),
    writeFile(join(folder, "config.json"), JSON.stringify(files.config), { mode: 0o600 }),
    writeFile(join(folder, "resolv.conf"), `nameserver ${files.gateway}\n`, { mode: 0o644 }),
    writeFile(join(folder, "hosts"), hosts, { mode: 0o644 }),
    writeFile(join(folder, "hostname"), `${files.hostname}\n`, { mode: 0o644 }),
  ]);
}

export async function linkDisk(folder: string, { upper, work }: InstanceDisk): Promise<void> {
  await symlink(upper, join(folder, "upper"));
  await symlink(work, join(folder, "work"));
}
