import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { InstanceView } from "../../../packages/protocol/src/instance.ts";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { IMAGES } from "../fixture-images.ts";
import { guestCall, type GuestAnswer } from "../guest-call.ts";

const FOREVER = ["sleep", "infinity"];
const AWAKE = { pause_after_idle_s: null };
const MAY_SPAWN = {
  spawn: true,
  spawn_depth: 2,
  max_children: 4,
  allowed_images: ["test/*"],
  max_memory_mb: 128,
  max_vcpus: 1,
  max_expose_ports: 2,
  allowed_network: ["*"],
};

describe("the Guest API, from inside", () => {
  let aegis: Aegis;
  beforeAll(async () => {
    aegis = await startAegis();
  });
  afterAll(() => aegis.stop());
  afterEach(async () => {
    for (const { id, parent_id } of await aegis.client.instances.list())
      if (parent_id === null) await aegis.client.instances.delete(id);
  });

  const bootParent = (more: object = {}) =>
    aegis.boot({ command: FOREVER, capabilities: MAY_SPAWN, memory_mb: 128, ...more });
  const guest = <T = Record<string, unknown>>(id: string, method: string, path: string, body?: unknown) =>
    guestCall<T>(aegis, id, method, path, body);
  const spawn = (id: string, body: object = {}): Promise<GuestAnswer<{ id: string; handle: string }>> =>
    guest(id, "POST", "/v1/instances", { command: FOREVER, image_ref: IMAGES.busybox, ...body });

  it("says who the instance is and what it may do", async () => {
    const { id, handle } = await aegis.boot({ command: FOREVER, exposes: [8080], handle: "me" });
    const { status, body } = await guest(id, "GET", "/v1/self");
    expect(status).toBe(200);
    expect(body).toMatchObject({
      id,
      handle,
      state: "running",
      image: IMAGES.busybox,
      parent_id: null,
      endpoints: [{ guest_port: 8080 }],
      capabilities: { children_left: 0 },
    });
  });

  it("answers by wget too, many times over", async () => {
    const { id } = await bootParent();
    const script =
      "i=0; while [ $i -lt 50 ]; do wget -q -O - $AEGIS_GUEST_API/v1/self > /dev/null || exit 1; i=$((i+1)); done";
    await aegis.sh(id, script);
    expect(await aegis.sh(id, "test -S /run/aegis/guestd.sock && echo socket")).toBe("socket");
  });

  it("serves the workload itself, from its first moment on", async () => {
    const { id } = await aegis.boot({ command: ["sh", "-c", "wget -q -O - http://127.0.0.1:7777/v1/self && echo"] });
    await aegis.reaches(id, "stopped");
    expect(JSON.parse((await aegis.logs(id))[0]?.line ?? "")).toMatchObject({ id });
  });

  it("spawns a child, and carries it through its life", async () => {
    const { id } = await bootParent();
    const child = await spawn(id, { handle: "child", exposes: [8080], env: { A: "b" }, memory_mb: 32 });
    expect(child.status).toBe(201);
    expect(child.body).toMatchObject({
      handle: "child",
      state: "starting",
      parent_id: id,
      endpoints: [{ guest_port: 8080 }],
    });
    const path = `/v1/instances/${child.body.id}`;
    await aegis.reaches(child.body.id, "running");

    const list = await guest<InstanceView[]>(id, "GET", "/v1/instances");
    expect(list.body.map((one) => one.id)).toEqual([child.body.id]);
    expect((await guest(id, "GET", path)).body).toMatchObject({ handle: "child", state: "running", memory_mb: 32 });
    expect((await guest(id, "GET", "/v1/self")).body).toMatchObject({ capabilities: { children_left: 3 } });

    const exec = await guest(id, "POST", `${path}/exec`, { command: ["sh", "-c", "echo $A; echo oops >&2; exit 4"] });
    const lines = exec.text.split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toMatchObject([
      { exec_id: expect.stringMatching(/^exec-/) },
      { stream: expect.any(String) },
      { stream: expect.any(String) },
      { exit_code: 4, done: true },
    ]);
    expect(lines.map(({ stream, line }) => `${String(stream)} ${String(line)}`)).toEqual(
      expect.arrayContaining(["stdout b", "stderr oops"]),
    );
    expect((await guest(id, "GET", `${path}/logs`)).text).toContain("oops");

    expect((await guest(id, "POST", `${path}/expose`, { port: 9090 })).body).toMatchObject({ guest_port: 9090 });
    expect((await guest(id, "POST", `${path}/stop`)).body).toMatchObject({ state: "stopped" });
    expect((await guest(id, "POST", `${path}/exec`, { command: ["true"] })).status).toBe(409);
    expect((await guest(id, "POST", `${path}/start`)).body).toMatchObject({ state: "running" });
    expect((await guest(id, "DELETE", path)).status).toBe(204);
    expect((await guest(id, "GET", path)).status).toBe(404);
    expect((await guest<InstanceView[]>(id, "GET", "/v1/instances")).body).toEqual([]);
  });

  it("shows no one parents, siblings, strangers or grandchildren", async () => {
    const { id, handle } = await bootParent(AWAKE);
    const stranger = await aegis.boot({ command: FOREVER, handle: "stranger", ...AWAKE });
    const capabilities = { ...MAY_SPAWN, spawn_depth: 1, max_children: 1 };
    const first = (await spawn(id, { handle: "first", capabilities, ...AWAKE })).body;
    const second = (await spawn(id, { handle: "second", ...AWAKE })).body;
    const grandchild = (await spawn(first.id, { handle: "grandchild", ...AWAKE })).body;
    expect(grandchild.id).toMatch(/^inst-/);
    const hidden: [from: string, names: string[]][] = [
      [first.id, [id, handle, first.id, second.id, "second", stranger.id, "stranger"]],
      [id, [id, grandchild.id, "grandchild", stranger.id]],
      [stranger.id, [id, first.id, "first", grandchild.id]],
    ];
    for (const [from, names] of hidden) {
      for (const name of names) {
        for (const [method, verb, body] of [
          ["GET", "", undefined],
          ["GET", "/logs", undefined],
          ["POST", "/stop", undefined],
          ["POST", "/start", undefined],
          ["POST", "/exec", { command: ["true"] }],
          ["POST", "/expose", { port: 80 }],
          ["DELETE", "", undefined],
        ] as const) {
          const answer = await guest(from, method, `/v1/instances/${name}${verb}`, body);
          expect([answer.status, answer.body["code"]]).toEqual([404, "instance_not_found"]);
        }
      }
    }
    expect((await aegis.client.instances.list()).every(({ state }) => state === "running")).toBe(true);
  });

  it("has nothing of the host's API", async () => {
    const { id } = await bootParent();
    for (const path of ["/v1/status", "/v1/secrets", "/v1/images", "/v1/shutdown", "/v1/instances/prune"])
      expect((await guest(id, path === "/v1/shutdown" ? "POST" : "GET", path)).status).toBe(404);
    expect((await guest(id, "PUT", "/v1/secrets/X", { value: "x" })).status).toBe(404);
  });

  it.each([
    ["malformed JSON", "{", 400, "invalid_json"],
    ["an unknown field", { command: ["true"], nope: 1 }, 400, "unknown_field"],
    ["a kit", { command: ["true"], kit: "x" }, 400, "unknown_field"],
    [
      "a binding of its own making",
      { command: ["true"], bindings: [{ name: "x", port: 1, upstream: "http://x" }] },
      400,
      "invalid_request",
    ],
    ["a body that is too large", { command: ["x".repeat(100_000)], env: { X: "y" } }, 201, undefined],
  ])("answers %s", async (_what, body, status, code) => {
    const { id } = await bootParent();
    const answer = await guest(
      id,
      "POST",
      "/v1/instances",
      typeof body === "string" ? body : { image_ref: IMAGES.busybox, ...body },
    );
    expect([answer.status, answer.body["code"]]).toEqual([status, code]);
  });

  it("keeps the instance awake for as long as it asks", async () => {
    const { id } = await aegis.boot({ command: FOREVER, pause_after_idle_s: 0.3, stop_after_paused_s: null });
    const kept = await guest<{ lease_id: string }>(id, "POST", "/v1/self/keepalive", {
      ttl_ms: 60_000,
      reason: "thinking",
    });
    expect(kept.body.lease_id).toMatch(/^lease-/);
    // one that falls asleep later than the first would have
    const { id: other } = await aegis.boot({ command: FOREVER, pause_after_idle_s: 0.4 });
    await aegis.reaches(other, "paused");
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running", lease_reason: "thinking" });
    expect((await guest(id, "DELETE", "/v1/self/keepalive", { lease_id: kept.body.lease_id })).status).toBe(204);
    await aegis.reaches(id, "paused");
    await aegis.client.instances.resume(id);
    await guest(id, "POST", "/v1/self/keepalive", { ttl_ms: 300, reason: "short" });
    await aegis.reaches(id, "paused");
    expect((await aegis.client.instances.get(id)).leases).toEqual([]);
  });

  it("opens the instance's own ports as far as it is allowed", async () => {
    const { id } = await aegis.boot({ command: FOREVER, capabilities: { max_expose_ports: 1 } });
    const opened = await guest(id, "POST", "/v1/self/expose", { port: 8080 });
    expect(opened.body).toMatchObject({ guest_port: 8080, protocol: "http", url: expect.stringMatching(/^http:/) });
    expect((await guest(id, "POST", "/v1/self/expose", { port: 8080 })).body).toEqual(opened.body);
    const refused = await guest(id, "POST", "/v1/self/expose", { port: 8081 });
    expect([refused.status, refused.body["code"]]).toEqual([422, "capability_refused"]);
    expect((await aegis.client.instances.get(id)).expose_ports).toEqual([8080]);
  });

  it("ends children with their parent", async () => {
    const { id } = await bootParent();
    const child = (await spawn(id)).body;
    await aegis.reaches(child.id, "running");
    await aegis.client.instances.stop(id);
    expect(await aegis.client.instances.get(child.id)).toMatchObject({ state: "stopped" });
    await aegis.client.instances.delete(id);
    await expect(aegis.client.instances.get(child.id)).rejects.toMatchObject({ code: "instance_deleted" });
  });

  it("goes on after a pause, a restart and a daemon restart", async () => {
    const { id } = await bootParent();
    await aegis.client.instances.pause(id);
    expect((await guest(id, "GET", "/v1/self")).status).toBe(200);
    await aegis.restart();
    expect((await guest(id, "GET", "/v1/self")).status).toBe(200);
    expect((await spawn(id)).status).toBe(201);
    await aegis.client.instances.restart(id);
    expect((await guest(id, "GET", "/v1/self")).status).toBe(200);
  });
});
