import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { KIT_MANIFEST, type KitManifest, parseKitManifest } from "@aegis/protocol/kit";

const KITS = fileURLToPath(new URL("../../../kits/", import.meta.url));

export interface InstalledKit extends KitManifest {
  /** where its programs are */
  folder: string;
}

/** The kits of this clone, by name. They are known without a daemon: a kit may be what starts it. */
export function installedKits(folder: string = KITS): InstalledKit[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .map((name) => join(folder, name))
    .filter((kit) => existsSync(join(kit, KIT_MANIFEST)))
    .map((kit) => ({
      ...parseKitManifest(readFileSync(join(kit, KIT_MANIFEST), "utf8"), join(kit, KIT_MANIFEST)),
      folder: kit,
    }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
