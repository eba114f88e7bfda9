import { constants } from "node:fs";
import { lstat, open, readlink } from "node:fs/promises";
import { join, posix } from "node:path";

const MAX_BYTES = 1024 * 1024;
const MAX_LINKS = 16;

/**
 * Reads a regular file of an unpacked image. Links are followed as they would be inside the image, never out of it.
 * @returns null when there is no such file
 */
export async function readRootfsFile(rootfs: string, path: string): Promise<string | null> {
  const inside = await resolveInside(rootfs, path);
  if (inside === null) return null;
  const file = await open(join(rootfs, inside), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => null,
  );
  if (file === null) return null;
  try {
    const info = await file.stat();
    if (!info.isFile() || info.size > MAX_BYTES) return null;
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

/** The link-free path that `path` means within the image, relative to its root; null when it does not exist. */
async function resolveInside(rootfs: string, path: string): Promise<string | null> {
  let rest = path.split("/");
  let resolved = "";
  let links = 0;
  for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
    const next = posix.join("/", resolved, part).slice(1);
    const info = await lstat(join(rootfs, next)).catch(() => null);
    if (info === null) return null;
    if (!info.isSymbolicLink()) {
      resolved = next;
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) return null;
    const target = await readlink(join(rootfs, next));
    rest = [...target.split("/").filter((piece) => piece !== ""), ...rest];
    if (target.startsWith("/")) resolved = "";
  }
  return resolved;
}
