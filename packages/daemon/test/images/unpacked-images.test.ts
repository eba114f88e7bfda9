import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { UnpackedImages } from "../../src/images/unpacked-images.ts";

const DIGEST = `sha256:${"0".repeat(64)}`;
const MB = 1024 * 1024;

let folder: string;
let unpacked: UnpackedImages;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "aegis-unpacked-"));
  unpacked = new UnpackedImages(join(folder, "unpacked"));
  await unpacked.create();
  const temporary = join(folder, "temporary");
  mkdirSync(join(temporary, "rootfs"), { recursive: true });
  writeFileSync(join(temporary, "rootfs/file"), Buffer.alloc(MB, 1));
  await unpacked.add(DIGEST, temporary);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it("counts what a backend made of an image as a part of it, and takes that away with it", async () => {
  const before = await unpacked.sizeOf(DIGEST);
  expect(before).toBeGreaterThanOrEqual(MB);
  mkdirSync(unpacked.derivedOf(DIGEST));
  writeFileSync(join(unpacked.derivedOf(DIGEST), "rootfs.erofs"), Buffer.alloc(2 * MB, 1));
  const after = await unpacked.sizeOf(DIGEST);
  expect(after - before).toBeGreaterThanOrEqual(2 * MB);
  const trash = join(folder, "trash");
  mkdirSync(trash);
  expect(await unpacked.moveTo(trash, DIGEST)).toBe(after);
  expect(readdirSync(join(folder, "unpacked"))).toEqual([]);
});
