import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ownIdentity } from "../../src/images/process-identity.ts";
import { TemporaryFolders } from "../../src/images/temporary-folders.ts";

describe("TemporaryFolders", () => {
  let parent: string;
  beforeEach(async () => void (parent = await mkdtemp(join(tmpdir(), "aegis-temporary-"))));
  afterEach(async () => await rm(parent, { recursive: true, force: true }));

  it("removes a folder after its use, also when that fails", async () => {
    const folders = new TemporaryFolders(parent);
    const failing = folders.use(async (folder) => {
      await writeFile(join(folder, "file"), "x");
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect(await readdir(parent)).toEqual([]);
  });

  it("clears away what dead processes left, and nobody else's", async () => {
    const own = await ownIdentity();
    const reused = `${process.pid}-1-5-1`;
    for (const name of [`${own}-5-1`, reused, "4194305-7-5-1", "rubbish"]) await mkdir(join(parent, name));
    await new TemporaryFolders(parent).clearDead();
    expect(await readdir(parent)).toEqual([`${own}-5-1`]);
  });
});
