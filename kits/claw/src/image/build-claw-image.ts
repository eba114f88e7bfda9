import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { buildBase } from "./base-step.ts";
import { buildFailure } from "./build-failure.ts";
import { clawImageRef } from "./claw-image-ref.ts";
import { buildKitLayer } from "./kit-layer.ts";
import { LayerStore, type Layer } from "./layer-store.ts";
import { FILE_TIME, IMAGE_ENV, runtimeKey, type Versions } from "./recipe.ts";
import { buildRuntimeLayer } from "./runtime-layer.ts";
import { StepReporter, type BuildStep } from "./step-reporter.ts";
import { withFileLock } from "./work-folder-lock.ts";

export interface BuildOptions extends Versions {
  /** finished steps and layers are kept here, so that the next build goes on from them */
  workDir: string;
  /** this folder becomes /opt/claw */
  guestFiles: string;
  base?: BaseChoice;
  onProgress?: (step: BuildStep) => void;
  signal?: AbortSignal;
}

/** `auto`: the registry where it answers within seconds, else Debian's archive. */
export interface BaseChoice {
  kind: "auto" | "registry" | "local";
  /** another base image than the default; with `registry` and `auto` only */
  ref?: string;
}

export interface BuiltImage {
  /** OCI layout folder whose index names {@link ref} */
  layout: string;
  ref: string;
  digest: string;
}

/** The two expensive steps; a test puts small ones in their place. */
export interface BuildSteps {
  base(store: LayerStore, choice: BaseChoice, onLine: (line: string) => void, signal: AbortSignal): Promise<Step>;
  runtime(store: LayerStore, versions: Versions, onLine: (line: string) => void, signal: AbortSignal): Promise<Layer>;
}

export interface Step {
  key: string;
  layers: Layer[];
}

/**
 * Builds the image that the bot and its work instances run, in three layers that change at different pace: system, node with
 * OpenClaw, the kit's own files. One build at a time in a work folder; killed anywhere, the next one goes on.
 * @throws AegisError `registry_failed` (no network), `disk_full`, `unavailable` (a tool is missing)
 */
export async function buildClawImage(options: BuildOptions, steps: BuildSteps = realSteps): Promise<BuiltImage> {
  await mkdir(options.workDir, { recursive: true });
  const lock = join(options.workDir, "lock");
  try {
    return await withFileLock(lock, () => build(options, steps), options.signal);
  } catch (error) {
    options.signal?.throwIfAborted();
    throw buildFailure(error, options.workDir);
  }
}

async function build(options: BuildOptions, steps: BuildSteps): Promise<BuiltImage> {
  const store = new LayerStore(options.workDir);
  await store.open();
  const report = new StepReporter(options.onProgress);
  const ref = await clawImageRef(options);
  const failed = new AbortController();
  const signal = AbortSignal.any([failed.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  /** the first failure ends the other step too, and nothing is cleared away under a tool that still writes */
  const together = async <T extends unknown[]>(work: { [K in keyof T]: Promise<T[K]> }): Promise<T> => {
    for (const part of work) part.catch((error: unknown) => failed.abort(error));
    await Promise.allSettled(work);
    failed.signal.throwIfAborted();
    return (await Promise.all(work)) as T;
  };
  try {
    const key = runtimeKey(options);
    const [base, runtime] = await together<[Step, Layer[]]>([
      report.step("base system", (onLine) => steps.base(store, options.base ?? { kind: "auto" }, onLine, signal)),
      report.step("node and OpenClaw", (onLine) =>
        store.cached(key, async () => [await steps.runtime(store, options, onLine, signal)]),
      ),
    ]);
    const kit = await report.step("kit files", () => buildKitLayer(store, options.guestFiles, signal));
    const digest = await report.step("image", () => writeImage(store, ref, base, { key, layers: runtime }, kit));
    return { layout: store.layout, ref, digest };
  } finally {
    report.close();
    await store.close();
  }
}

async function writeImage(store: LayerStore, ref: string, base: Step, runtime: Step, kit: Layer): Promise<string> {
  const layers = [...base.layers, ...runtime.layers, kit];
  const config = await store.addJson("application/vnd.oci.image.config.v1+json", {
    created: new Date(FILE_TIME * 1000).toISOString(),
    architecture: process.arch === "arm64" ? "arm64" : "amd64",
    os: "linux",
    config: { Env: IMAGE_ENV, Cmd: ["/bin/sh"], WorkingDir: "/workspace" },
    rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.diffId) },
    history: layers.map(() => ({ created: new Date(FILE_TIME * 1000).toISOString() })),
  });
  const manifest = await store.addJson("application/vnd.oci.image.manifest.v1+json", {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config,
    layers: layers.map((layer) => layer.blob),
  });
  await store.writeIndex(manifest, ref);
  const used = [manifest, config, ...layers.map((layer) => layer.blob)].map((blob) => blob.digest);
  await store.prune([base.key, runtime.key], new Set(used));
  return manifest.digest;
}

const realSteps: BuildSteps = { base: buildBase, runtime: buildRuntimeLayer };
