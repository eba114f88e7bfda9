import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { addMountPoints } from "../../src/images/mount-points.ts";

describe("addMountPoints", () => {
  let folder: string;
  let rootfs: string;
  const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, size: 1 };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "aegis-mount-points-"));
    rootfs = join(folder, "rootfs");
    await mkdir(rootfs);
  });
  afterEach(async () => await rm(folder, { recursive: true, force: true }));

  it("adds what is missing and keeps what is there", async () => {
    await mkdir(join(rootfs, "etc"));
    await writeFile(join(rootfs, "etc/hosts"), "127.0.0.1 here\n");
    await addMountPoints(rootfs, owner);
    await addMountPoints(rootfs, owner);
    expect((await readdir(rootfs)).toSorted()).toEqual([
      ".aegis",
      "dev",
      "etc",
      "proc",
      "run",
      "sys",
      "tmp",
      "workspace",
    ]);
    expect(await readFile(join(rootfs, "etc/hosts"), "utf8")).toBe("127.0.0.1 here\n");
    expect(await readFile(join(rootfs, "etc/resolv.conf"), "utf8")).toBe("");
  });

  it("replaces links instead of following them", async () => {
    const host = join(folder, "host");
    await mkdir(host);
    await symlink(host, join(rootfs, "etc"));
    await symlink("../host", join(rootfs, "run"));
    await addMountPoints(rootfs, owner);
    expect(await readdir(host)).toEqual([]);
    expect((await lstat(join(rootfs, "etc"))).isDirectory()).toBe(true);
  });

  it("replaces a link in the place of a file of /etc", async () => {
    await writeFile(join(folder, "victim"), "kept");
    await mkdir(join(rootfs, "etc"));
    await symlink(join(folder, "victim"), join(rootfs, "etc/resolv.conf"));
    await addMountPoints(rootfs, owner);
    expect((await lstat(join(rootfs, "etc/resolv.conf"))).isFile()).toBe(true);
    expect(await readFile(join(folder, "victim"), "utf8")).toBe("kept");
  });
});
