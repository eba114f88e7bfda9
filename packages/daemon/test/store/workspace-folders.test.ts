import { mkdirSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { workspaceWithin } from "../../src/core/workspaces.ts";
import { FolderFiles } from "../../src/store/workspace/folder-files.ts";
import { WorkspaceFolders } from "../../src/store/workspace-folders.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

let root: string;
let outside: string;
let workspaces: WorkspaceFolders;
beforeEach(() => {
  root = temporaryFolder();
  outside = temporaryFolder();
  workspaces = new WorkspaceFolders(root, owner, []);
  mkdirSync(join(root, "project"));
});

const identityOf = (path: string): string => {
  const { dev, ino } = statSync(path, { bigint: true });
  return `${dev}:${ino}`;
};

describe("a folder in the parent's workspace", () => {
  it("is named by where it is, through several generations", () => {
    expect(workspaceWithin("project", "work-1")).toBe("work-1");
    expect(workspaceWithin("project", "./site")).toBe("project//site");
    expect(workspaceWithin("project//site", "./deep/er")).toBe("project//site/deep/er");
    expect(workspaceWithin("/home/me/code", "./site")).toBe("/home/me/code//site");
    expect(() => workspaceWithin(null, "./site")).toThrow(expect.objectContaining({ code: "invalid_path" }));
  });

  it("is opened, made when absent, and belongs to the owner", async () => {
    await using folder = await workspaces.open("project//site/deep");
    expect(folder.path).toBe(join(root, "project/site/deep"));
    expect(folder.identity).toBe(identityOf(folder.path));
    expect(statSync(folder.path)).toMatchObject({ ...owner, mode: 0o40755 });
  });

  it("is opened in a workspace of the host's too", async () => {
    const mine = join(outside, "mine");
    mkdirSync(mine);
    await using folder = await workspaces.open(`${mine}//site`);
    expect(folder.path).toBe(join(mine, "site"));
    expect(readdirSync(mine)).toEqual(["site"]);
  });

  it.each(["", ".", "./", "..", "../other", "a/../..", "a\0b", "a/".repeat(65), "x".repeat(2000)])(
    "is refused as %j",
    (inner) => {
      expect(() => workspaces.check(`project//${inner}`)).toThrow(expect.objectContaining({ code: "invalid_path" }));
    },
  );

  it("is never what a link leads to, wherever the link is, nor a file", async () => {
    symlinkSync(outside, join(root, "project/out"));
    mkdirSync(join(root, "project/in"));
    symlinkSync("/", join(root, "project/in/root"));
    writeFileSync(join(root, "project/file"), "");
    for (const inner of ["out", "out/deep", "in/root", "in/root/etc", "file", "file/deep"])
      await expect(workspaces.open(`project//${inner}`)).rejects.toMatchObject({ code: "invalid_path" });
    expect(readdirSync(outside)).toEqual([]);
  });

  it("says which one it was, whatever is put in its place", async () => {
    await using folder = await workspaces.open("project//site");
    renameSync(folder.path, `${folder.path}-away`);
    symlinkSync(outside, folder.path);
    expect(identityOf(folder.path)).not.toBe(folder.identity);
    rmSync(`${folder.path}-away`, { recursive: true });
    // it is held: its number cannot become another one's
    for (let made = 0; made < 100; made++) {
      mkdirSync(join(root, `project/new-${made}`));
      expect(identityOf(join(root, `project/new-${made}`))).not.toBe(folder.identity);
    }
  });

  it("has its files in reach of file calls, and no others", async () => {
    const files = new FolderFiles(workspaces, root, owner);
    const body = async function* () {
      yield Buffer.from("text");
    };
    await files.write("project//site", "index.html", body());
    expect(readdirSync(join(root, "project/site"))).toEqual(["index.html"]);
    rmSync(join(root, "project/site"), { recursive: true });
    symlinkSync(outside, join(root, "project/site"));
    await expect(files.write("project//site", "index.html", body())).rejects.toMatchObject({ code: "invalid_path" });
    expect(readdirSync(outside)).toEqual([]);
  });
});
