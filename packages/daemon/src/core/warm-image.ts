import { AegisError } from "@aegis/protocol/errors";
import type { WarmImage, WarmedImage } from "@aegis/protocol/warm-image";
import type { Driver } from "./driver.ts";
import type { Images } from "./images.ts";
import { sizeOf } from "./instance-spec.ts";

export interface WarmImageDeps {
  driver: Pick<Driver, "name" | "warm">;
  images: Pick<Images, "ensure">;
}

/**
 * Has the driver make ready for new instances of an image and a size.
 * @throws AegisError `driver_failed` where it has no means, and as a pull and a boot do
 */
export async function warmImage(
  { driver, images }: WarmImageDeps,
  wanted: WarmImage,
  signal: AbortSignal,
): Promise<WarmedImage> {
  if (driver.warm === undefined)
    throw new AegisError(
      "driver_failed",
      `The ${driver.name} driver has no warm starts: its instances start fast without. aegis doctor says which driver there is.`,
    );
  const began = performance.now();
  const { digest, derived, rootfs, config } = await images.ensure(wanted.ref, undefined, signal);
  const { memory_mb, vcpus, disk_mb, read_only_root } = sizeOf(wanted);
  await driver.warm(
    {
      image: { digest, derived },
      rootfs,
      user: config.user,
      memoryMb: memory_mb,
      vcpus,
      diskMb: disk_mb,
      readOnlyRoot: read_only_root,
    },
    signal,
  );
  return { ref: wanted.ref, digest, memory_mb, vcpus, disk_mb, took_ms: Math.round(performance.now() - began) };
}
