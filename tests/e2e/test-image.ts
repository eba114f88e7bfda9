import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface TestLayer {
  /** fills an empty folder */
  fill: (folder: string) => Promise<void>;
  /** what goes into the tar, in this order; absent: everything */
  entries?: string[];
}

/** A layer with static busybox as every tool that a test may want. */
export const busyboxLayer: TestLayer = {
  async fill(folder) {
    await mkdir(join(folder, "bin"));
    await run("cp", ["/usr/bin/busybox", join(folder, "bin/busybox")]);
    for (const tool of ["sh", "cat", "echo", "sleep", "ls", "true"]) {
      await run("ln", ["-s", "busybox", join(folder, "bin", tool)]);
    }
  },
};

/** Writes an OCI layout with one image, named `test`, of uncompressed layers. Returns the digest of its manifest. */
export async function writeTestImage(layout: string, layers: TestLayer[], config: object = {}): Promise<string> {
  const blobs = join(layout, "blobs/sha256");
  await mkdir(blobs, { recursive: true });
  const add = async (mediaType: string, content: Buffer | string) => {
    const hex = createHash("sha256").update(content).digest("hex");
    await writeFile(join(blobs, hex), content);
    return { mediaType, digest: `sha256:${hex}`, size: Buffer.byteLength(content) };
  };
  const tars = [];
  for (const layer of layers)
    tars.push(await add("application/vnd.oci.image.layer.v1.tar", await tarOf(layout, layer)));
  const rootfs = { type: "layers", diff_ids: tars.map(({ digest }) => digest) };
  const image = { architecture: process.arch === "x64" ? "amd64" : process.arch, os: "linux", config, rootfs };
  const schema = { schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json" };
  const configBlob = await add("application/vnd.oci.image.config.v1+json", JSON.stringify(image));
  const manifest = await add(schema.mediaType, JSON.stringify({ ...schema, config: configBlob, layers: tars }));
  const named = { ...manifest, annotations: { "org.opencontainers.image.ref.name": "test" } };
  await writeFile(join(layout, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [named] }));
  await writeFile(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  return manifest.digest;
}

async function tarOf(layout: string, { fill, entries }: TestLayer): Promise<Buffer> {
  const folder = await mkdtemp(join(layout, "layer-"));
  const tar = `${folder}.tar`;
  try {
    await fill(folder);
    await run("tar", ["-cf", tar, "--owner=0", "--group=0", "--absolute-names", "-C", folder, ...(entries ?? ["."])]);
    return await readFile(tar);
  } finally {
    await rm(folder, { recursive: true, force: true });
    await rm(tar, { force: true });
  }
}

/** Pushes the image of a layout to a registry on loopback. */
export async function pushTestImage(layout: string, target: string, ...options: string[]): Promise<void> {
  await run("skopeo", ["copy", "--dest-tls-verify=false", ...options, `oci:${layout}:test`, `docker://${target}`]);
}
