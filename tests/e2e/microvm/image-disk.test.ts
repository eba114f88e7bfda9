import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { IMAGES } from "../fixture-images.ts";

let aegis: Aegis;

beforeAll(async () => {
  aegis = await startAegis({ env: { AEGIS_DRIVER: "microvm" }, images: ["busybox", "bare"] });
});
afterAll(() => aegis?.stop());

/** Read-only disks of images, by the image's digest. */
function imageDisks(): string[] {
  const unpacked = join(aegis.home, "images/unpacked");
  return readdirSync(unpacked).filter((name) => existsSync(join(unpacked, name, "derived/rootfs.erofs")));
}

it("a virtual machine's disk of its image stays as long as the image is used, and goes with it", async () => {
  const { images, instances } = aegis.client;
  expect(imageDisks()).toEqual([]);
  const { id, image_digest } = await aegis.boot({ image_ref: IMAGES.bare, command: ["/busybox", "sleep", "1000"] });
  const disks = [String(image_digest).replace(":", "-")];
  expect(imageDisks()).toEqual(disks);
  await instances.stop(id);
  await expect(images.delete(IMAGES.bare)).rejects.toMatchObject({ code: "image_in_use" });
  await images.prune({ all: true });
  expect(imageDisks()).toEqual(disks);
  await instances.delete(id);
  await images.delete(IMAGES.bare);
  expect(imageDisks()).toEqual([]);
  expect(readdirSync(join(aegis.home, "images/unpacked"))).toHaveLength(1); // the default image
});
