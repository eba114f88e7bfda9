import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { BlobStore } from "./blob-store.ts";
import type { Descriptor } from "./image-config.ts";

const LOOK_EVERY_MS = 250;

/** Tells how many bytes of the blobs are there, by looking at the files, until `work` is done. */
export async function watchDownload<T>(
  blobs: BlobStore,
  wanted: readonly Descriptor[],
  partialFolder: string,
  tell: (doneBytes: number) => void,
  work: () => Promise<T>,
): Promise<T> {
  const looks = new Set<Promise<void>>();
  const look = async () => {
    let done = 0;
    for (const { digest } of wanted) done += Math.max(0, await blobs.sizeOf(digest));
    for (const file of await partialFiles(partialFolder)) done += await sizeOf(file);
    tell(done);
    looks.clear();
  };
  const timer = setInterval(() => {
    if (looks.size === 0) looks.add(look());
  }, LOOK_EVERY_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    await Promise.all(looks);
  }
}

async function partialFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.startsWith("oci-put-blob")).map((name) => join(folder, name));
}

const sizeOf = async (file: string): Promise<number> =>
  await stat(file).then(
    (found) => found.size,
    () => 0,
  );
