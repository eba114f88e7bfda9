import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { UpLock } from "../../src/up-lock.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "up-lock-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it("is held by one, which tells the other where it is", () => {
  const lock = UpLock.take(folder);
  expect(() => UpLock.take(folder)).toThrow(/no chat page yet/);
  lock.ready("http://127.0.0.1:1/chat");
  expect(() => UpLock.take(folder)).toThrow(
    `already runs on this home (pid ${process.pid}): its chat is at http://127.0.0.1:1/chat`,
  );
  lock.release();
  UpLock.take(folder).release();
});

it.each([
  ["a process that is gone", JSON.stringify({ pid: 2 ** 22 + 1, start: "1", url: null })],
  ["another process that has the pid now", JSON.stringify({ pid: process.pid, start: "1", url: null })],
  ["half a file", '{"pid":'],
])("is free after %s", (_what, left) => {
  writeFileSync(join(folder, "up.pid"), left);
  const lock = UpLock.take(folder);
  expect(() => UpLock.take(folder)).toThrow("already runs");
  lock.release();
});
