import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { buildClawImage, type BuildOptions, type BuildSteps } from "../../src/image/build-claw-image.ts";
import { clawImageRef } from "../../src/image/claw-image-ref.ts";
import type { LayerStore } from "../../src/image/layer-store.ts";
import { runCommand } from "../../src/image/run-command.ts";
import { tarFolder } from "../../src/image/tar-folder.ts";

interface Manifest {
  config: { digest: string };
  layers: { digest: string; size: number }[];
}

describe("buildClawImage", () => {
  let folder: string;
  let options: BuildOptions;
  let made: string[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "aegis-claw-image-"));
    made = [];
    options = {
      workDir: join(folder, "work"),
      guestFiles: join(folder, "guest"),
      nodeVersion: "24.0.0",
      openclawVersion: "1.2.3",
    };
    await mkdir(join(options.guestFiles, "plugin"), { recursive: true });
    await writeFile(join(options.guestFiles, "plugin/index.js"), "export default 1;\n");
  });
  afterEach(async () => await rm(folder, { recursive: true, force: true }));

  async function tinyLayer(store: LayerStore, name: string) {
    const stage = await store.scratch();
    await writeFile(join(stage, name), name);
    made.push(name);
    return await store.addTar((sink) => tarFolder(stage, [name], sink));
  }

  const tinySteps: BuildSteps = {
    base: async (store) => ({
      key: "base",
      layers: await store.cached("base", async () => [await tinyLayer(store, "base")]),
    }),
    runtime: (store, { openclawVersion }) => tinyLayer(store, `runtime-${openclawVersion}`),
  };

  const blobFile = (digest: string) => join(options.workDir, "oci/blobs", digest.replace(":", "/"));
  const readBlob = async <T>(digest: string) => JSON.parse(await readFile(blobFile(digest), "utf8")) as T;

  it("makes a layout whose parts are what their digests say, in three layers", async () => {
    const built = await buildClawImage(options, tinySteps);
    expect(built.ref).toMatch(/^aegis\/claw:1\.2\.3-[0-9a-f]{12}$/);
    for (const hex of await readdir(join(built.layout, "blobs/sha256"))) {
      expect(
        createHash("sha256")
          .update(await readFile(blobFile(`sha256:${hex}`)))
          .digest("hex"),
      ).toBe(hex);
    }
    const index = JSON.parse(await readFile(join(built.layout, "index.json"), "utf8")) as { manifests: object[] };
    expect(index.manifests).toMatchObject([
      { digest: built.digest, annotations: { "org.opencontainers.image.ref.name": built.ref } },
    ]);
    const manifest = await readBlob<Manifest>(built.digest);
    const contents = manifest.layers.map(({ digest }) => runCommand(["tar", "-tf", blobFile(digest)]));
    expect((await Promise.all(contents)).map((text) => text.trim().split("\n"))).toEqual([
      ["base"],
      ["runtime-1.2.3"],
      ["opt/", "opt/claw/", "opt/claw/plugin/", "opt/claw/plugin/index.js", "workspace/"],
    ]);
    const config = await readBlob<{ config: object; rootfs: { diff_ids: string[] } }>(manifest.config.digest);
    expect(config.rootfs.diff_ids).toEqual(manifest.layers.map(({ digest }) => digest));
    expect(config.config).toMatchObject({ Cmd: ["/bin/sh"], WorkingDir: "/workspace" });
  });

  it("builds each step once, and the same image again from the same inputs", async () => {
    const first = await buildClawImage(options, tinySteps);
    expect(await buildClawImage(options, tinySteps)).toEqual(first);
    expect(made.toSorted()).toEqual(["base", "runtime-1.2.3"]);
  });

  it("builds only the last layer again when a kit file changes, and drops the old one", async () => {
    const first = await buildClawImage(options, tinySteps);
    await writeFile(join(options.guestFiles, "plugin/index.js"), "export default 2;\n");
    const second = await buildClawImage(options, tinySteps);
    expect(second.ref).not.toBe(first.ref);
    expect(second.digest).not.toBe(first.digest);
    expect(made).toHaveLength(2);
    expect(await readdir(join(options.workDir, "oci/blobs/sha256"))).toHaveLength(5);
  });

  it("builds the runtime again for another version of OpenClaw, and not the base", async () => {
    await buildClawImage(options, tinySteps);
    await buildClawImage({ ...options, openclawVersion: "1.2.4" }, tinySteps);
    expect(made.toSorted()).toEqual(["base", "runtime-1.2.3", "runtime-1.2.4"]);
  });

  it("builds a step again whose layer is gone", async () => {
    const { digest } = await buildClawImage(options, tinySteps);
    const { layers } = await readBlob<Manifest>(digest);
    await rm(blobFile(layers[0]?.digest ?? ""));
    expect((await buildClawImage(options, tinySteps)).digest).toBe(digest);
    expect(made.filter((name) => name === "base")).toHaveLength(2);
  });

  it("keeps finished steps when a later one fails, and clears the rest away", async () => {
    const broken: BuildSteps = {
      ...tinySteps,
      async runtime(store) {
        await writeFile(join(await store.scratch(), "half"), "x");
        throw new Error("npm error network ENOTFOUND registry");
      },
    };
    const failing = buildClawImage(options, broken);
    await expect(failing).rejects.toMatchObject({
      code: "registry_failed",
      message: expect.stringContaining("network"),
    });
    expect(await readdir(options.workDir)).not.toContain("scratch");
    await buildClawImage(options, tinySteps);
    expect(made.filter((name) => name === "base").length).toBeLessThanOrEqual(2);
  });

  it("says how much room it needs when the disk is full", async () => {
    const full: BuildSteps = { ...tinySteps, base: () => Promise.reject(new Error("ENOSPC: no space left on device")) };
    await expect(buildClawImage(options, full)).rejects.toMatchObject({
      code: "disk_full",
      message: expect.stringContaining("4 GB"),
    });
  });

  it("stops the other step when one fails or the build is aborted", async () => {
    const stopped: string[] = [];
    const waiting: BuildSteps["runtime"] = async (_store, _versions, _onLine, signal) => {
      if (!signal.aborted) await once(signal, "abort");
      stopped.push("runtime");
      throw signal.reason;
    };
    const failing: BuildSteps = { base: () => Promise.reject(new Error("broken")), runtime: waiting };
    await expect(buildClawImage(options, failing)).rejects.toThrow("broken");
    const abort = new AbortController();
    const onProgress = () => abort.abort(new Error("enough"));
    const aborted = buildClawImage(
      { ...options, signal: abort.signal, onProgress },
      { ...tinySteps, runtime: waiting },
    );
    await expect(aborted).rejects.toThrow("enough");
    expect(stopped).toContain("runtime");
    expect(await readdir(options.workDir)).not.toContain("scratch");
  });

  it("tells of every step as it begins and ends", async () => {
    const lines: string[] = [];
    await buildClawImage(
      { ...options, onProgress: ({ name, state, done, total }) => lines.push(`${name} ${state} ${done}/${total}`) },
      tinySteps,
    );
    expect(lines.slice(0, 2)).toEqual(["base system running 0/4", "node and OpenClaw running 0/4"]);
    expect(lines.slice(-3)).toEqual(["kit files finished 3/4", "image running 3/4", "image finished 4/4"]);
  });

  it("goes on from the finished step after it was killed", async () => {
    const script = join(folder, "build.mjs");
    const source = (name: string) => JSON.stringify(new URL(`../../src/image/${name}.ts`, import.meta.url).href);
    await writeFile(
      script,
      `import { writeFile } from "node:fs/promises";
       import { buildClawImage } from ${source("build-claw-image")};
       import { tarFolder } from ${source("tar-folder")};
       const layer = async (store) => {
         const stage = await store.scratch();
         await writeFile(stage + "/base", "base");
         return [await store.addTar((sink) => tarFolder(stage, ["base"], sink))];
       };
       await buildClawImage(${JSON.stringify(options)}, {
         base: async (store) => ({ key: "base", layers: await store.cached("base", () => layer(store)) }),
         runtime: async (store) => await store.addTar(async (sink) => {
           sink.write("half a layer");
           await new Promise(() => setInterval(() => console.log("waiting"), 50));
         }),
       });`,
    );
    const builder = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
    const exited = once(builder, "exit");
    await once(builder.stdout, "data");
    while (!(await readdir(join(options.workDir, "steps"))).includes("base.json")) await once(builder.stdout, "data");
    builder.kill("SIGKILL");
    await exited;
    expect(await readdir(options.workDir)).toContain("scratch");
    await buildClawImage(options, tinySteps);
    expect(made).toEqual(["runtime-1.2.3"]);
    expect(await readdir(options.workDir)).not.toContain("scratch");
  });

  it("lets two builds in one folder follow each other", async () => {
    const [one, two] = await Promise.all([buildClawImage(options, tinySteps), buildClawImage(options, tinySteps)]);
    expect(one).toEqual(two);
    expect(made).toHaveLength(2);
  });
});

describe("clawImageRef", () => {
  it("depends on what is in the image and on nothing else", async () => {
    const folder = await mkdtemp(join(tmpdir(), "aegis-claw-ref-"));
    try {
      const inputs = { guestFiles: folder, nodeVersion: "24.0.0", openclawVersion: "1.2.3" };
      await writeFile(join(folder, "a"), "1");
      const first = await clawImageRef(inputs);
      await writeFile(join(folder, "a"), "1");
      expect(await clawImageRef(inputs)).toBe(first);
      expect(await clawImageRef({ ...inputs, nodeVersion: "24.0.1" })).not.toBe(first);
      expect(await clawImageRef({ ...inputs, base: { ref: "debian:12" } })).not.toBe(first);
      await writeFile(join(folder, "b"), "1");
      expect(await clawImageRef(inputs)).not.toBe(first);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
