import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const BIN = fileURLToPath(new URL("../bin/aegis.mjs", import.meta.url));

it.each([
  ["a shell", BIN, []],
  ["Node", process.execPath, [BIN]],
])("starts by %s, and says nothing of its own", async (_, program, before) => {
  expect(await promisify(execFile)(program, [...before, "--version"])).toEqual({
    stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    stderr: "",
  });
});
