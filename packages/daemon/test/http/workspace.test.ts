import http from "node:http";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";
import { daemonFixture } from "../daemon-fixture.ts";
import type { DaemonFixture } from "../daemon-fixture.ts";

const withWorkspace = async (daemon: DaemonFixture) => {
  await daemon.call("POST", "/v1/instances", { handle: "a", command: ["sleep", "1000"], workspace: "w" });
  return join(daemon.home.workspaces, "w");
};
const FILE = "/v1/instances/a/workspace?path=d/file.json";

it("carries bytes in and out, whatever they are called", async () => {
  const daemon = await daemonFixture();
  const folder = await withWorkspace(daemon);
  const posted = await daemon.call("POST", FILE, '{"not": json');
  expect(posted).toMatchObject({ status: 200, body: { status: "ok", path: "d/file.json", size: 12 } });
  expect(readFileSync(join(folder, "d/file.json"), "utf8")).toBe('{"not": json');
  const got = await daemon.call("GET", FILE);
  expect([got.status, got.text]).toEqual([200, '{"not": json']);
  const tree = await daemon.call("GET", "/v1/instances/a/workspace/tree");
  expect(tree.body).toMatchObject({ path: "", truncated: false, entries: [{ path: "d" }, { size: 12, type: "file" }] });
  expect((await daemon.call("DELETE", FILE)).status).toBe(204);
  expect(await daemon.call("GET", FILE)).toMatchObject({ status: 404, body: { code: "file_not_found" } });
});

it.each([
  ["GET", "/v1/instances/a/workspace", 400, "invalid_path"],
  ["GET", "/v1/instances/a/workspace?path=../x", 400, "invalid_path"],
  ["POST", "/v1/instances/a/workspace?path=%2e%2e/x", 400, "invalid_path"],
  ["POST", "/v1/instances/a/workspace?path=x&mode=7777", 400, "invalid_request"],
  ["GET", "/v1/instances/a/workspace/tree?limit=x", 400, "invalid_request"],
  ["GET", "/v1/instances/nobody/workspace?path=x", 404, "instance_not_found"],
  ["GET", "/v1/instances/bare/workspace?path=x", 404, "file_not_found"],
])("%s %s is %i %s", async (method, path, status, code) => {
  const daemon = await daemonFixture();
  const folder = await withWorkspace(daemon);
  await daemon.call("POST", "/v1/instances", { handle: "bare", command: ["sleep", "1000"] });
  expect(await daemon.call(method, path)).toMatchObject({ status, body: { code, error: expect.any(String) } });
  expect(existsSync(join(folder, "x"))).toBe(false);
});

it("takes more than a JSON body may have, and tells how large a file is", async () => {
  const daemon = await daemonFixture();
  const folder = await withWorkspace(daemon);
  const large = "x".repeat(5 * 1024 * 1024);
  expect((await daemon.call("POST", FILE, large)).body).toMatchObject({ size: large.length });
  mkdirSync(join(folder, "d"), { recursive: true });
  writeFileSync(join(folder, "d/other"), "four");
  const { promise, resolve } = Promise.withResolvers<http.IncomingMessage>();
  http.get({ socketPath: daemon.home.socket, path: FILE, agent: false }, resolve);
  const answer = await promise;
  expect(answer.headers).toMatchObject({ "content-length": String(large.length), "x-content-type-options": "nosniff" });
  expect(await text(answer)).toHaveLength(large.length);
});

it("leaves nothing of an upload that breaks off", async () => {
  const daemon = await daemonFixture();
  const folder = await withWorkspace(daemon);
  const sent = http.request({ socketPath: daemon.home.socket, method: "POST", path: FILE, agent: false });
  sent.on("error", () => undefined).write("half");
  await expect.poll(() => existsSync(join(folder, "d"))).toBe(true);
  sent.destroy();
  await expect.poll(async () => (await daemon.call("DELETE", "/v1/instances/a/workspace?path=d")).status).toBe(204);
});
