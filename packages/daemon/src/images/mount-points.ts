import { lchown, lstat, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { IdMap } from "./user-namespace.ts";

/** Where something is mounted later; a read-only root cannot get them then. */
const FOLDERS = ["proc", "dev", "sys", "tmp", "workspace", ".aegis", "run", "etc"];
const FILES = ["etc/resolv.conf", "etc/hosts", "etc/hostname"];

/**
 * Adds the mount points that an unpacked image lacks. Nothing is followed: a link or another kind of file in the place of a
 * mount point is replaced, so a hostile image cannot lead us out of its folder.
 */
export async function addMountPoints(rootfs: string, owner: IdMap): Promise<void> {
  for (const folder of FOLDERS) {
    const path = join(rootfs, folder);
    if (await isThere(path, "directory")) continue;
    await mkdir(path, { mode: folder === "tmp" ? 0o1777 : 0o755 });
    await lchown(path, owner.uid, owner.gid);
  }
  for (const file of FILES) {
    const path = join(rootfs, file);
    if (await isThere(path, "file")) continue;
    await writeFile(path, "", { flag: "wx", mode: 0o644 });
    await lchown(path, owner.uid, owner.gid);
  }
}

async function isThere(path: string, kind: "directory" | "file"): Promise<boolean> {
  const found = await lstat(path).catch(() => null);
  if (found === null) return false;
  if (kind === "directory" ? found.isDirectory() : found.isFile()) return true;
  await rm(path, { recursive: true });
  return false;
}
