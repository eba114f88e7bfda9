import { mkdirSync, writeFileSync } from "node:fs";
import net from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { daemonFixture } from "../daemon-fixture.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const create = (body: object) => ({ command: ["sleep", "1000"], ...body });

describe("bad input is refused with a reason and leaves nothing behind", () => {
  it.each<[string, unknown, number, string, RegExp]>([
    ["malformed JSON", '{"command":', 400, "invalid_json", /not valid JSON/],
    ["no object", "[]", 400, "invalid_request", /object/],
    ["no command", {}, 400, "invalid_request", /command/],
    ["an empty command", create({ command: [] }), 400, "invalid_request", /command/],
    ["an unknown field", create({ memroy_mb: 5 }), 400, "unknown_field", /memroy_mb/],
    ["an unknown nested field", create({ capabilities: { spwan: true } }), 400, "unknown_field", /capabilities\.spwan/],
    ["a handle with a slash", create({ handle: "a/b" }), 400, "invalid_request", /handle/],
    ["a handle that is too long", create({ handle: "a".repeat(65) }), 400, "invalid_request", /handle/],
    ["a handle that begins with a dot", create({ handle: ".a" }), 400, "invalid_request", /handle/],
    ["memory as text", create({ memory_mb: "512" }), 400, "invalid_request", /memory_mb/],
    ["no memory", create({ memory_mb: 0 }), 400, "invalid_request", /memory_mb/],
    ["a port out of range", create({ exposes: [70000] }), 400, "invalid_request", /exposes/],
    ["a port twice", create({ exposes: [80, { port: 80 }] }), 400, "invalid_request", /twice/],
    ["a bad variable name", create({ env: { "A-B": "1" } }), 400, "unknown_field", /A-B/],
    ["a workspace with ..", create({ workspace: "../etc" }), 400, "invalid_path", /neither a name/],
    ["a host path with ..", create({ workspace: "/tmp/../etc" }), 400, "invalid_path", /"\.\."/],
    ["a system folder", create({ workspace: "/etc" }), 400, "invalid_path", /system/],
    ["a host path that is not there", create({ workspace: "/nope/nope" }), 400, "invalid_path", /does not exist/],
    ["a secret that is not there", create({ secrets: ["NOPE"] }), 404, "secret_not_found", /aegis secret set NOPE/],
    ["a body over 1 MB", create({ env: { A: "x".repeat(1024 * 1024) } }), 413, "too_large", /large/],
  ])("%s", async (_name, body, status, code, reason) => {
    const { call } = await daemonFixture();
    const answer = await call("POST", "/v1/instances", body);
    expect(answer.body).toMatchObject({ code, error: expect.stringMatching(reason) });
    expect(answer.status).toBe(status);
    expect((await call("GET", "/v1/instances")).body).toEqual([]);
  });

  it("a public port in use", async () => {
    const { call } = await daemonFixture();
    const taken = net.createServer().listen(0, "127.0.0.1");
    onTestFinished(() => void taken.close());
    await once(taken, "listening");
    const { port } = taken.address() as net.AddressInfo;
    const answer = await call(
      "POST",
      "/v1/instances",
      create({ handle: "a", exposes: [{ port: 80, public_port: port }] }),
    );
    expect(answer).toMatchObject({
      status: 409,
      body: { code: "port_taken", error: expect.stringContaining(String(port)) },
    });
    expect((await call("GET", "/v1/instances")).body).toEqual([]);
  });

  it("an unknown instance, a deleted one, and an unknown path", async () => {
    const { call, reaches } = await daemonFixture();
    expect(await call("GET", "/v1/instances/nope")).toMatchObject({
      status: 404,
      body: { code: "instance_not_found" },
    });
    await call("POST", "/v1/instances", create({ handle: "a" }));
    await reaches("a", "running");
    await call("DELETE", "/v1/instances/a");
    expect(await call("GET", "/v1/instances/a")).toMatchObject({ status: 410, body: { code: "instance_deleted" } });
    expect(await call("GET", "/v2/nope")).toMatchObject({ status: 404, body: { code: "not_found" } });
  });

  it("a handle that is taken", async () => {
    const { call, reaches } = await daemonFixture();
    await call("POST", "/v1/instances", create({ handle: "a" }));
    await reaches("a", "running");
    expect(await call("POST", "/v1/instances", create({ handle: "a" }))).toMatchObject({
      status: 409,
      body: { code: "handle_taken" },
    });
  });

  it("a state or a parameter that does not exist", async () => {
    const { call } = await daemonFixture();
    expect(await call("GET", "/v1/instances?state=asleep")).toMatchObject({ status: 400 });
    await call("POST", "/v1/instances", create({ handle: "a" }));
    expect(await call("GET", "/v1/instances/a/logs?tail=-1")).toMatchObject({ status: 400 });
    expect(await call("GET", "/v1/instances/a/logs?since=yesterday")).toMatchObject({ status: 400 });
  });
});

describe("a home", () => {
  it("has one daemon at a time", async () => {
    const first = await daemonFixture();
    await expect(daemonFixture(first)).rejects.toMatchObject({
      code: "wrong_state",
      message: expect.stringContaining("Another aegisd"),
    });
    expect((await first.call("GET", "/v1/status")).status).toBe(200);
  });

  it("starts over a socket that a killed daemon left", async () => {
    const folder = temporaryFolder();
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "aegisd.sock"), "");
    const { openHome } = await import("../../src/home.ts");
    const home = openHome({ AEGIS_HOME: folder }, { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });
    const { FakeHost } = await import("../../src/drivers/fake/fake-driver.ts");
    const { call } = await daemonFixture({ home, host: new FakeHost() });
    expect((await call("GET", "/v1/status")).body).toMatchObject({ status: "running", backend: "fake" });
  });
});

describe("a workspace on the host", () => {
  it("is never the daemon's own state, nor a folder around it", async () => {
    const { call, home } = await daemonFixture();
    for (const workspace of [home.root, home.data, join(home.root, "..")]) {
      const answer = await call("POST", "/v1/instances", create({ workspace }));
      expect(answer.body).toMatchObject({ code: "invalid_path", error: expect.stringContaining("aegisd") });
    }
    expect((await call("GET", "/v1/instances")).body).toEqual([]);
  });
});
