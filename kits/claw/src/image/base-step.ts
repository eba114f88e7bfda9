import { messageOf } from "@aegis/protocol/errors";
import type { BaseChoice, Step } from "./build-claw-image.ts";
import { noRegistry } from "./build-failure.ts";
import { buildDebianBase } from "./debian-base.ts";
import type { LayerStore } from "./layer-store.ts";
import { DEBIAN_PACKAGES, recipeKey, REGISTRY_BASE } from "./recipe.ts";
import { buildRegistryBase, findRegistryBase } from "./registry-base.ts";

/** The system below node. What an earlier build made is taken again without asking whether a registry can be reached now. */
export async function buildBase(
  store: LayerStore,
  choice: BaseChoice,
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<Step> {
  const ref = choice.ref ?? REGISTRY_BASE;
  const fromRegistry = recipeKey("registry base", [ref, DEBIAN_PACKAGES]);
  const fromDebian = recipeKey("debian base", DEBIAN_PACKAGES);
  const viaRegistry = async (): Promise<Step | null> => {
    const layers = await store.cached(fromRegistry, async () => {
      onLine(`looking for ${ref}`);
      const found = await findRegistryBase(ref, signal);
      return found === null ? null : await buildRegistryBase(store, found, onLine, signal);
    });
    return layers === null ? null : { key: fromRegistry, layers };
  };
  const viaDebian = async (): Promise<Step> => {
    const layers = await store.cached(fromDebian, async () => [await buildDebianBase(store, onLine, signal)]);
    return { key: fromDebian, layers };
  };
  switch (choice.kind) {
    case "local":
      return await viaDebian();
    case "registry":
      return (await viaRegistry()) ?? noRegistry();
    case "auto":
      if (choice.ref === undefined && (await store.has(fromDebian))) return await viaDebian();
      return (await viaRegistry().catch((error: unknown) => passOver(error, onLine, signal))) ?? (await viaDebian());
  }
}

function passOver(error: unknown, onLine: (line: string) => void, signal: AbortSignal): null {
  signal.throwIfAborted();
  const why = messageOf(error);
  onLine(`building from Debian's archive, as the registry's image could not be used: ${why}`);
  return null;
}
