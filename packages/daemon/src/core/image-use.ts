import { AegisError } from "@aegis/protocol/errors";
import type { StoredImage } from "./images.ts";
import type { Instance } from "./instance.ts";

/** What an instance needs: the image that its disk lies over, and what it was made from. */
export const claimsOf = (instance: Instance): string[] => {
  const { image_ref, image_digest } = instance.view();
  return image_digest === null ? [image_ref] : [image_ref, image_digest];
};

/** The one rule for what is used: an image is when somebody claims its digest, or a name that it has now. */
export const isClaimed = (image: StoredImage, claims: Iterable<string>): boolean =>
  [...claims].some((claim) => claim === image.digest || image.isNamedBy(claim));

/** @throws AegisError `image_in_use` that names the instance */
export function refuseUsed(image: StoredImage, instances: Instance[]): void {
  const user = instances.find((instance) => isClaimed(image, claimsOf(instance)));
  if (user === undefined) return;
  const name = image.refs[0] ?? image.digest;
  throw new AegisError("image_in_use", `${name} is the image of ${user.handle}. Delete that instance first.`);
}

export interface PruneChoice {
  /** also what was made on this machine, which no registry can give again */
  all: boolean;
  unusedOlderThanS: number;
}

/** Whether an image that nobody claims is to go. */
export const isUnwanted =
  ({ all, unusedOlderThanS }: PruneChoice, now: number) =>
  ({ madeHere, usedAt }: StoredImage): boolean =>
    (all || !madeHere) && usedAt.getTime() <= now - unusedOlderThanS * 1000;
