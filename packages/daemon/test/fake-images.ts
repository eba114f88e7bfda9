import { AegisError } from "@aegis/protocol/errors";
import type { Image, ImageImporter, Images } from "../src/core/images.ts";

/** A store that holds one image under every name but `missing`. */
export function fakeImages(image: Image): Images & ImageImporter {
  const named = (ref: string): Image => {
    if (ref === "missing") throw new AegisError("image_not_found", "There is no image missing.");
    return image;
  };
  return {
    find: async () => image,
    ensure: async (ref) => named(ref),
    use: async ({ ref }, onImage) => {
      onImage(named(ref));
      return image;
    },
    keep: async () => undefined,
    list: async () => [image],
    remove: async () => undefined,
    prune: async () => ({ deleted: [], freedBytes: 0 }),
    importLayout: async () => image,
    size: async () => 0,
  };
}
