import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FakeDaemon } from "@aegis/sdk/test/fake-daemon";
import { afterEach, beforeEach, expect, it } from "vitest";
import { aegis } from "./run-in-test.ts";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await FakeDaemon.start({
    "GET /v1/instances/web/workspace": () => ({ write: (response) => void response.end("bytes") }),
    "POST /v1/instances/web/workspace": ({ query }) => ({ body: { status: "ok", path: query["path"], size: 4 } }),
  });
});
afterEach(() => daemon.close());
const cp = (...args: string[]) => aegis(["cp", ...args], daemon);

it("fetches a file, to a file or to stdout", async () => {
  const target = join(daemon.home, "copy");
  expect(await cp("web:out/a.txt", target)).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(readFileSync(target, "utf8")).toBe("bytes");
  expect((await cp("web:/workspace/out/a.txt", "-")).stdout).toBe("bytes");
  expect(daemon.calls.map(({ query }) => query["path"])).toEqual(["out/a.txt", "out/a.txt"]);
});

it("sends a file with its permissions, under its own name into a folder", async () => {
  const source = join(daemon.home, "run.sh");
  writeFileSync(source, "text", { mode: 0o755 });
  expect(await cp(source, "web:bin/")).toEqual({ code: 0, stdout: "web:bin/run.sh\n", stderr: "" });
  expect(daemon.calls[0]?.query).toEqual({ path: "bin/run.sh", mode: "755" });
});

it.each([
  [["a", "b"], 2, "NAME:PATH"],
  [["web:a", "web:b"], 2, "NAME:PATH"],
  [["/no/such/file", "web:b"], 1, "/no/such/file here cannot be used"],
  [["web:a", "/no/such/folder/b"], 1, "/no/such/folder/b here cannot be used"],
])("refuses %j", async (args, code, words) => {
  expect(await cp(...args)).toMatchObject({ code, stderr: expect.stringContaining(words) });
});
