import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { FolderGauge } from "../../src/store/disk-gauge.ts";
import { temporaryFolder } from "../temporary-folder.ts";

it("measures what is owned, as the disk has it, and the room where a folder will be", async () => {
  const folder = temporaryFolder();
  const [owned, missing] = [join(folder, "file"), join(folder, "not/there/yet")];
  writeFileSync(owned, Buffer.alloc(3 * 2 ** 20, 1));
  const gauge = new FolderGauge({ written: [missing], owned: [owned, missing] });
  const bytes = await gauge.measure();
  expect(bytes).toBeGreaterThanOrEqual(3 * 2 ** 20);
  expect(bytes).toBeLessThan(4 * 2 ** 20);
  expect(gauge.space()).toMatchObject({ path: missing, freeBytes: expect.any(Number) });
  expect(gauge.space().totalBytes).toBeGreaterThan(gauge.space().freeBytes);
  expect(await new FolderGauge({ written: [folder], owned: [missing] }).measure()).toBe(0);
});
