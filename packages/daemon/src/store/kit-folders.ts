import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { KIT_MANIFEST, kitView, type KitView, parseKitManifest } from "@aegis/protocol/kit";

/** The kits below a folder, by name; one that cannot be read is passed over with a warning. */
export function kitsIn(folder: string, warn: (message: string) => void): KitView[] {
  const names = existsSync(folder) ? readdirSync(folder).toSorted() : [];
  return names.flatMap((name) => {
    const file = join(folder, name, KIT_MANIFEST);
    if (!existsSync(file)) return [];
    try {
      return [kitView(parseKitManifest(readFileSync(file, "utf8"), file))];
    } catch (error) {
      warn(`the kit ${name} is passed over: ${String(error)}`);
      return [];
    }
  });
}
