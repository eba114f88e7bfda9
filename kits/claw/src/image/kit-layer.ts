import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Layer, LayerStore } from "./layer-store.ts";
import { tarFolder } from "./tar-folder.ts";

/** The kit's own files under /opt/claw, and an empty /workspace. */
export async function buildKitLayer(store: LayerStore, guestFiles: string, signal?: AbortSignal): Promise<Layer> {
  const stage = await store.scratch();
  await mkdir(join(stage, "opt"));
  await mkdir(join(stage, "workspace"));
  await cp(guestFiles, join(stage, "opt/claw"), { recursive: true, verbatimSymlinks: true });
  return await store.addTar((sink) => tarFolder(stage, ["opt", "workspace"], sink, signal));
}
