import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkCwd, resolveCommand } from "../src/command-path.ts";
import { GuestError } from "../src/guest-error.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "aegis-path-"));
  for (const dir of ["a", "b", "a/tool-folder"]) mkdirSync(join(folder, dir));
  for (const [file, mode] of [
    ["a/plain", 0o644],
    ["b/plain", 0o755],
    ["a/only-plain", 0o644],
    ["b/tool", 0o755],
    ["b/tool-folder", 0o755],
  ] as const) {
    writeFileSync(join(folder, file), "#!/bin/sh\n");
    chmodSync(join(folder, file), mode);
  }
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const path = () => `${folder}/a::${folder}/b`;

function codeOf(act: () => unknown): string | null {
  try {
    act();
    return null;
  } catch (thrown) {
    return thrown instanceof GuestError ? thrown.code : "other";
  }
}

test("the first executable file on PATH is it, folders and plain files are passed over", () => {
  expect(resolveCommand("tool", path(), "/")).toBe(`${folder}/b/tool`);
  expect(resolveCommand("plain", path(), "/")).toBe(`${folder}/b/plain`);
  expect(resolveCommand("tool-folder", path(), "/")).toBe(`${folder}/b/tool-folder`);
});

test("an empty entry of PATH is the working directory, a name with a slash is relative to it", () => {
  expect(resolveCommand("tool", path(), `${folder}/b`)).toBe(`${folder}/b/tool`);
  expect(resolveCommand("./b/tool", undefined, folder)).toBe(`${folder}/b/tool`);
  expect(resolveCommand(`${folder}/b/tool`, "", "/")).toBe(`${folder}/b/tool`);
});

test("without PATH the usual folders are searched", () => {
  expect(resolveCommand("sh", undefined, "/")).toMatch(/\/sh$/);
});

test("what is missing is not found, what may not be executed cannot be spawned", () => {
  expect(codeOf(() => resolveCommand("nothing", path(), "/"))).toBe("command_not_found");
  expect(codeOf(() => resolveCommand("./nothing", path(), folder))).toBe("command_not_found");
  expect(codeOf(() => resolveCommand("only-plain", path(), "/"))).toBe("command_not_executable");
  expect(codeOf(() => resolveCommand(`${folder}/a`, path(), "/"))).toBe("command_not_executable");
});

test("a working directory is an absolute path to a folder", () => {
  expect(codeOf(() => checkCwd(folder))).toBeNull();
  expect(codeOf(() => checkCwd("a"))).toBe("invalid_cwd");
  expect(codeOf(() => checkCwd(`${folder}/b/tool`))).toBe("invalid_cwd");
  expect(codeOf(() => checkCwd(`${folder}/none`))).toBe("invalid_cwd");
});
