import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { FolderFiles } from "../../src/store/workspace/folder-files.ts";
import { WorkspaceFolders } from "../../src/store/workspace-folders.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const never = new AbortController().signal;
const all = { path: "", depth: 32, limit: 10_000 };

let root: string;
let ws: string;
let outside: string;
let files: FolderFiles;
beforeEach(() => {
  root = temporaryFolder();
  ws = join(root, "ws");
  mkdirSync(ws);
  outside = temporaryFolder();
  writeFileSync(join(outside, "secret"), "the host's");
  files = new FolderFiles(new WorkspaceFolders(root, owner, []), root, owner);
});

async function* bytes(...parts: string[]) {
  for (const part of parts) yield Buffer.from(part);
}
const read = async (path: string) => text((await files.read("ws", path)).body);
const write = (path: string, ...parts: string[]) => files.write("ws", path, bytes(...parts));
const paths = async (query = {}) =>
  (await files.tree("ws", { ...all, ...query }, never)).entries.map(({ path, type }) => `${type} ${path}`);

it("writes a file with the folders above it, reads it, lists it, and deletes it", async () => {
  expect(await write("src/deep/main.js", "one ", "two")).toEqual({ status: "ok", path: "src/deep/main.js", size: 7 });
  expect(await read("./src//deep/main.js")).toBe("one two");
  expect(await paths()).toEqual(["folder src", "folder src/deep", "file src/deep/main.js"]);
  expect(readdirSync(join(ws, "src/deep"))).toEqual(["main.js"]);
  await expect(files.remove("ws", "src")).rejects.toMatchObject({ code: "wrong_state" });
  await files.remove("ws", "src/deep/main.js");
  await files.remove("ws", "src/deep");
  expect(await paths()).toEqual(["folder src"]);
  await expect(read("src/deep/main.js")).rejects.toMatchObject({ code: "file_not_found" });
});

it("reads and writes empty files, and keeps the permissions of what it replaces", async () => {
  await write("empty");
  expect(await read("empty")).toBe("");
  writeFileSync(join(ws, "run.sh"), "old");
  chmodSync(join(ws, "run.sh"), 0o755);
  await write("run.sh", "new");
  expect(statSync(join(ws, "run.sh")).mode & 0o777).toBe(0o755);
  await files.write("ws", "run.sh", bytes("x"), 0o600);
  expect(statSync(join(ws, "run.sh")).mode & 0o777).toBe(0o600);
});

it("leaves the old file when the new one does not arrive as a whole", async () => {
  await write("a", "old");
  async function* broken() {
    yield Buffer.from("half of");
    throw new Error("the client has gone");
  }
  await expect(files.write("ws", "a", broken())).rejects.toThrow("the client has gone");
  expect(await read("a")).toBe("old");
  expect(readdirSync(ws)).toEqual(["a"]);
});

describe("nothing leads out of the workspace", () => {
  it.each(["../outside", "a/../../b", "/etc/passwd", "..", ".", "", "a\0b", "a/".repeat(70)])("%j", async (path) => {
    for (const attempt of [() => read(path), () => write(path, "x"), () => files.remove("ws", path)])
      await expect(attempt()).rejects.toMatchObject({ code: "invalid_path" });
  });

  it("a link as the file, as a folder above it, or as the workspace's own folder", async () => {
    symlinkSync(join(outside, "secret"), join(ws, "file"));
    symlinkSync(outside, join(ws, "folder"));
    symlinkSync("/", join(root, "linked"));
    await expect(read("file")).rejects.toMatchObject({ code: "invalid_path", message: expect.stringMatching(/link/) });
    await expect(read("folder/secret")).rejects.toMatchObject({ code: "invalid_path" });
    await expect(write("folder/new", "x")).rejects.toMatchObject({ code: "invalid_path" });
    await expect(write("folder/deeper/new", "x")).rejects.toMatchObject({ code: "invalid_path" });
    await expect(files.remove("ws", "folder/secret")).rejects.toMatchObject({ code: "invalid_path" });
    await expect(files.tree("ws", { ...all, path: "folder" }, never)).rejects.toMatchObject({ code: "invalid_path" });
    await expect(files.read("linked", "etc/passwd")).rejects.toMatchObject({ code: "invalid_path" });
    expect(await paths()).toEqual(["link file", "link folder"]);
    expect(readdirSync(outside)).toEqual(["secret"]);
  });

  it("a link or a hard link that is written over is replaced, not followed", async () => {
    symlinkSync(join(outside, "secret"), join(ws, "soft"));
    linkSync(join(outside, "secret"), join(ws, "hard"));
    await write("soft", "mine");
    await write("hard", "mine");
    await files.remove("ws", "soft");
    expect(readFileSync(join(outside, "secret"), "utf8")).toBe("the host's");
  });

  it("a folder that is swapped for a link and back, all the time", async () => {
    mkdirSync(join(ws, "real"));
    writeFileSync(join(ws, "real/secret"), "the guest's");
    const [real, swapped] = [join(ws, "real"), join(ws, "d")];
    let swaps = 0;
    const swap = () => {
      if (!existsSync(real)) renameSync(swapped, real);
      rmSync(swapped, { recursive: true, force: true });
      if (swaps % 2 === 1) renameSync(real, swapped);
      else symlinkSync(outside, swapped);
      swaps += 1;
    };
    const timer = setInterval(() => {
      try {
        swap();
      } catch (error) {
        // where neither is for a moment, the write below makes a folder, which goes with the next swap
        if (!["EEXIST", "ENOTEMPTY"].includes(String((error as NodeJS.ErrnoException).code))) throw error;
      }
    }, 0);
    onTestFinished(() => clearInterval(timer));
    const seen = new Set<string>();
    for (let i = 0; i < 400; i += 1) {
      seen.add(await read("d/secret").catch((error: { code: string }) => error.code));
      await write("d/new", "x").catch(() => undefined);
    }
    clearInterval(timer);
    expect(swaps).toBeGreaterThan(10);
    expect([...seen].filter((one) => !["the guest's", "invalid_path", "file_not_found"].includes(one))).toEqual([]);
    expect(readdirSync(outside)).toEqual(["secret"]);
  });
});

it("opens nothing but plain files: a pipe does not block it", async () => {
  execFileSync("mkfifo", [join(ws, "pipe")]);
  mkdirSync(join(ws, "folder"));
  writeFileSync(join(ws, "file"), "");
  await expect(read("pipe")).rejects.toMatchObject({ code: "invalid_path", message: expect.stringMatching(/pipe/) });
  await expect(read("folder")).rejects.toMatchObject({ code: "invalid_path" });
  await expect(write("folder", "x")).rejects.toMatchObject({ code: "invalid_path" });
  await expect(write("file/below", "x")).rejects.toMatchObject({ code: "invalid_path" });
  expect(await paths()).toEqual(["file file", "folder folder", "other pipe"]);
  await write("pipe", "now a file");
  expect(await read("pipe")).toBe("now a file");
});

it("refuses what the owner could not do alone", async () => {
  const stranger = new FolderFiles(new WorkspaceFolders(root, owner, []), root, { uid: 4321, gid: 4321 });
  writeFileSync(join(ws, "private"), "x");
  chmodSync(join(ws, "private"), 0o600);
  writeFileSync(join(ws, "public"), "open");
  chmodSync(join(ws, "public"), 0o644);
  chmodSync(ws, 0o755);
  chmodSync(root, 0o755);
  await expect(stranger.read("ws", "private")).rejects.toMatchObject({ code: "forbidden" });
  expect(await text((await stranger.read("ws", "public")).body)).toBe("open");
  await expect(stranger.write("ws", "new", bytes("x"))).rejects.toMatchObject({ code: "forbidden" });
  await expect(stranger.write("ws", "d/new", bytes("x"))).rejects.toMatchObject({ code: "forbidden" });
  await expect(stranger.remove("ws", "public")).rejects.toMatchObject({ code: "forbidden" });
  expect(readdirSync(ws).sort()).toEqual(["private", "public"]);
});

it.runIf(owner.uid === 0)("gives what it makes to the owner", async () => {
  const person = { uid: 4321, gid: 4322 };
  const theirs = new FolderFiles(new WorkspaceFolders(root, person, []), root, person);
  chmodSync(root, 0o755);
  await theirs.write("own", "a/b/c", bytes("x"));
  for (const path of ["own", "own/a", "own/a/b", "own/a/b/c"]) expect(statSync(join(root, path))).toMatchObject(person);
});

it("cuts a listing at its limits and says so", async () => {
  for (let i = 0; i < 30; i += 1) await write(`d${i % 3}/f${i}`, "x");
  expect(await files.tree("ws", { ...all, limit: 5 }, never)).toMatchObject({ truncated: true });
  expect(await paths({ limit: 5 })).toHaveLength(5);
  expect(await files.tree("ws", { ...all, depth: 1 }, never)).toMatchObject({ truncated: false });
  expect(await paths({ depth: 1 })).toEqual(["folder d0", "folder d1", "folder d2"]);
  expect(await paths({ path: "d1", limit: 2 })).toEqual(["file d1/f1", "file d1/f10"]);
  await expect(files.tree("ws", all, AbortSignal.abort())).rejects.toThrow("aborted");
});

it("sends as many bytes as it promised, or breaks off", async () => {
  const path = join(ws, "log");
  writeFileSync(path, "x".repeat(200_000));
  const growing = await files.read("ws", "log");
  writeFileSync(path, "y".repeat(50_000), { flag: "a" });
  expect(await text(growing.body)).toHaveLength(200_000);
  const shrinking = await files.read("ws", "log");
  writeFileSync(path, "");
  await expect(text(shrinking.body)).rejects.toThrow("shorter");
});

it("holds no descriptor when it is done", async () => {
  const open = () => readdirSync("/proc/self/fd").length;
  await write("a/b/c", "x");
  const before = open();
  await read("a/b/c");
  (await files.read("ws", "a/b/c")).body.destroy();
  await write("a/b/c", "y");
  await paths();
  for (const path of ["a/b/nope", "a/nope/c", "a/b/c/d"]) await read(path).catch(() => undefined);
  await expect.poll(open).toBeLessThanOrEqual(before);
});
