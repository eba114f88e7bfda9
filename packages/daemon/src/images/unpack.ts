import { chown, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import type { PullProgress } from "../core/images.ts";
import type { BlobStore } from "./blob-store.ts";
import { extractLayer } from "./extract-layer.ts";
import type { Descriptor, Manifest } from "./image-config.ts";
import { isDiskFull } from "./image-failure.ts";
import { addMountPoints } from "./mount-points.ts";
import { runTool, ToolFailed } from "./run-tool.ts";
import { withUserNamespace, type IdMap } from "./user-namespace.ts";

export interface UnpackJob {
  blobs: BlobStore;
  descriptor: Descriptor;
  manifest: Manifest;
  /** empty folder on the file system of the store; the result is its `rootfs` */
  folder: string;
  idMap: IdMap;
  onProgress: (progress: PullProgress) => void;
  signal: AbortSignal | undefined;
}

/**
 * Makes the root file system of an image, and checks every blob on the way. tar is several times as fast as umoci, but does
 * not know every trick of a layer: what it refuses is umoci's.
 * @throws AegisError `image_invalid`; errors of the file system as they are
 */
export async function unpackImage(job: UnpackJob): Promise<void> {
  const rootfs = join(job.folder, "rootfs");
  const stop = new AbortController();
  const signal = job.signal === undefined ? stop.signal : AbortSignal.any([job.signal, stop.signal]);
  const verified = verifyAll({ ...job, signal });
  verified.catch((error: unknown) => stop.abort(error));
  try {
    await extract({ ...job, signal }, rootfs);
    await verified;
  } finally {
    stop.abort();
    await verified.catch(() => undefined);
  }
  await addMountPoints(rootfs, job.idMap);
  await runTool(["sync", "--file-system", rootfs], { signal: job.signal });
}

async function verifyAll({ blobs, manifest, signal }: UnpackJob): Promise<void> {
  for (const { digest } of manifest.layers) await blobs.verify(digest, signal);
}

async function extract(job: UnpackJob, rootfs: string): Promise<void> {
  try {
    await extractWithTar(job, rootfs);
  } catch (error) {
    job.signal?.throwIfAborted();
    if (!(error instanceof ToolFailed || error instanceof AegisError) || isDiskFull(error)) throw error;
    await rm(rootfs, { recursive: true });
    await extractWithUmoci(job, rootfs);
  }
}

async function extractWithTar(job: UnpackJob, rootfs: string): Promise<void> {
  const { layers } = job.manifest;
  const plain = layers.every(({ mediaType }) => mediaType.endsWith("tar"));
  const totalBytes = plain ? layers.reduce((sum, { size }) => sum + size, 0) : null;
  let before = 0;
  await mkdir(rootfs, { mode: 0o755 });
  await chown(rootfs, job.idMap.uid, job.idMap.gid);
  await withUserNamespace(job.idMap, async (namespace) => {
    for (const [at, { digest, size }] of layers.entries()) {
      const message = `unpacking layer ${at + 1} of ${layers.length}`;
      const onBytes = (bytes: number) =>
        job.onProgress({
          phase: "unpack",
          message,
          doneBytes: totalBytes === null ? null : before + bytes,
          totalBytes,
        });
      onBytes(0);
      const layer = job.blobs.path(digest);
      await extractLayer({ layer, first: at === 0, rootfs, namespace, onBytes, signal: job.signal });
      before += size;
    }
  });
}

async function extractWithUmoci(job: UnpackJob, rootfs: string): Promise<void> {
  job.onProgress({ phase: "unpack", message: "unpacking with umoci", doneBytes: null, totalBytes: null });
  const layout = await singleImageLayout(job);
  const ids = (first: number) => `0:${first}:${job.idMap.size}`;
  const maps = ["--uid-map", ids(job.idMap.uid), "--gid-map", ids(job.idMap.gid)];
  try {
    await runTool(["umoci", "raw", "unpack", ...maps, "--image", `${layout}:image`, rootfs], { signal: job.signal });
  } catch (error) {
    if (!(error instanceof ToolFailed) || isDiskFull(error)) throw error;
    const why = error.output.trim().split("\n").at(-1)?.slice(-300);
    throw new AegisError("image_invalid", `The image cannot be unpacked: ${why}`, { cause: error });
  }
  const devices = ["(", "-type", "b", "-o", "-type", "c", ")", "-delete"];
  await runTool(["find", rootfs, "-xdev", ...devices], { signal: job.signal });
}

/** umoci takes an image by a tag of a layout, and a digest is not one. */
async function singleImageLayout({ folder, blobs, descriptor }: UnpackJob): Promise<string> {
  const layout = join(folder, "layout");
  const annotations = { "org.opencontainers.image.ref.name": "image" };
  await mkdir(layout);
  await symlink(blobs.folder, join(layout, "blobs"));
  await writeFile(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  await writeFile(
    join(layout, "index.json"),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...descriptor, annotations }] }),
  );
  return layout;
}
