import net from "node:net";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import type { Endpoint, InstanceView } from "@aegis/protocol/instance";
import { daemonFixture, ndjson } from "../daemon-fixture.ts";
import type { DaemonFixture } from "../daemon-fixture.ts";

async function boot(fixture: DaemonFixture, body: object): Promise<InstanceView> {
  const { body: created } = await fixture.call<{ id: string; state: string }>("POST", "/v1/instances", body);
  expect(created.state).toBe("starting");
  return fixture.reaches(created.id, "running");
}

async function fetchText(endpoint: Endpoint | undefined): Promise<string> {
  const socket = net.connect(endpoint?.public_port ?? 0, "127.0.0.1");
  await once(socket, "connect");
  socket.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

const web = { handle: "web", command: ["serve", "80"], exposes: [80], pause_after_idle_s: null };

describe("an instance", () => {
  it("is shown with the event that its followers go on from, whatever happens while it is looked at", async () => {
    const fixture = await daemonFixture();
    const { id } = await boot(fixture, web);
    const machine = fixture.driver.machine(id);
    if (machine === null) throw new Error("it has no machine");
    const stats = machine.stats.bind(machine);
    machine.stats = async () => {
      await fixture.call("POST", `/v1/instances/${id}/pause`);
      return stats();
    };
    const { state, event_seq = 0 } = await fixture.get(id);
    const later = ndjson((await fixture.call("GET", `/v1/events?since_seq=${event_seq}&follow=false`)).text);
    const seen = later.map((event) => (event as { state?: string }).state);
    expect(state === "paused" || seen.includes("paused")).toBe(true);
  });

  it("goes from created to running and shows every field", async () => {
    const view = await boot(await daemonFixture(), { ...web, memory_mb: 64 });
    expect(view).toMatchObject({
      handle: "web",
      state: "running",
      enabled: true,
      memory_mb: 64,
      vcpus: 1,
      pause_after_idle_s: null,
      stop_after_paused_s: 300,
      image_digest: expect.stringMatching(/^sha256:/),
      expose_ports: [80],
      endpoints: [{ guest_port: 80, protocol: "http", url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) }],
      failure: null,
      leases: [],
      lease_held: false,
    });
  });

  it("is made by the daemon's driver, and refused when it asks for another", async () => {
    const fixture = await daemonFixture();
    expect(await boot(fixture, { ...web, driver: "fake" })).toMatchObject({ driver: "fake" });
    const { status, body } = await fixture.call("POST", "/v1/instances", { command: ["true"], driver: "microvm" });
    expect(status).toBe(400);
    expect(body).toMatchObject({ error: expect.stringMatching(/made by the fake driver, not by microvm/) });
  });

  it("says why a boot failed", async () => {
    const fixture = await daemonFixture();
    await fixture.call("POST", "/v1/instances", { handle: "a", command: ["no-such-command"] });
    await expect(fixture.reaches("a", "running")).rejects.toThrow(/no-such-command/);
    await fixture.call("POST", "/v1/instances", { handle: "b", command: ["true"], image_ref: "missing" });
    await expect(fixture.reaches("b", "running")).rejects.toThrow(/no image missing/);
    expect(fixture.host.machines.size).toBe(0);
  });

  it("stops with the exit code of its process", async () => {
    const fixture = await daemonFixture();
    await fixture.call("POST", "/v1/instances", { handle: "a", command: ["exit", "7"] });
    const view = await fixture.reaches("a", "stopped");
    expect(view).toMatchObject({ exit_code: 7, failure: null });
    expect(fixture.host.machines.size).toBe(0);
    const logs = ndjson((await fixture.call("GET", "/v1/instances/a/logs")).text);
    expect(logs.at(-1)).toMatchObject({ source: "system", line: "process exited (code 7)" });
  });

  it("wakes on a connection from paused and from stopped, not when disabled", async () => {
    const fixture = await daemonFixture();
    const { endpoints } = await boot(fixture, web);
    expect(await fetchText(endpoints[0])).toMatch(/^HTTP\/1\.1 200/);
    await fixture.call("POST", "/v1/instances/web/pause");
    expect((await fixture.get("web")).state).toBe("paused");
    expect(await fetchText(endpoints[0])).toMatch(/^HTTP\/1\.1 200/);
    await fixture.call("POST", "/v1/instances/web/stop");
    expect((await fixture.get("web")).state).toBe("stopped");
    expect(await fetchText(endpoints[0])).toMatch(/^HTTP\/1\.1 200/);
    await fixture.call("POST", "/v1/instances/web/disable");
    expect(await fetchText(endpoints[0])).toMatch(/^HTTP\/1\.1 503 [^]*Retry-After: 3[^]*disabled/);
    expect(await fixture.get("web")).toMatchObject({ state: "stopped", enabled: false, endpoints });
  });

  it("pauses when idle, then stops; a lease or a connection keeps it awake", async () => {
    const fixture = await daemonFixture();
    const { endpoints } = await boot(fixture, {
      handle: "web",
      command: ["echo-server", "80"],
      exposes: [{ port: 80, protocol: "tcp" }],
      pause_after_idle_s: null,
      stop_after_paused_s: 0.1,
      hibernate: false,
    });
    const lease = await fixture.call<{ lease_id: string }>("POST", "/v1/instances/web/lease", {
      ttl_ms: 60_000,
      reason: "build",
    });
    await fixture.call("PATCH", "/v1/instances/web", { pause_after_idle_s: 0.3 });
    expect(await fixture.get("web")).toMatchObject({ lease_held: true, lease_reason: "build" });
    const socket = net.connect(endpoints[0]?.public_port ?? 0, "127.0.0.1");
    socket.write("hello");
    await once(socket, "data");
    await fixture.call("DELETE", `/v1/instances/web/lease/${lease.body.lease_id}`);
    expect(await fixture.get("web")).toMatchObject({ state: "running", active_connections: 1, lease_held: false });
    socket.destroy();
    await fixture.reaches("web", "stopped");
  });

  it("runs commands: output, exit code, input, errors", async () => {
    const fixture = await daemonFixture();
    await boot(fixture, web);
    const run = async (body: object) => ndjson((await fixture.call("POST", "/v1/instances/web/exec", body)).text);
    expect(await run({ command: ["echo", "hello"] })).toMatchObject([
      { started_at: expect.any(String) },
      { stream: "stdout", line: "hello" },
      { exit_code: 0, done: true },
    ]);
    expect(await run({ command: ["cat"], stdin: "in\nput" })).toMatchObject([
      {},
      { line: "in" },
      { line: "put" },
      { done: true },
    ]);
    expect(await run({ command: ["exit", "3"] })).toMatchObject([{}, { exit_code: 3 }]);
    expect(await run({ command: ["nope"] })).toMatchObject([{ code: "command_not_found", done: true }]);
    await fixture.call("POST", "/v1/instances/web/pause");
    expect(await run({ command: ["true"] })).toMatchObject([{}, { exit_code: 0 }]);
    await fixture.call("POST", "/v1/instances/web/stop");
    expect(await fixture.call("POST", "/v1/instances/web/exec", { command: ["true"] })).toMatchObject({ status: 409 });
  });

  it("exposes and closes ports at any time, and says the same when asked twice", async () => {
    const fixture = await daemonFixture();
    await boot(fixture, { ...web, exposes: [] });
    const first = await fixture.call<Endpoint>("POST", "/v1/instances/web/expose", { port: 80 });
    expect((await fixture.call("POST", "/v1/instances/web/expose", { port: 80 })).body).toEqual(first.body);
    expect(await fetchText(first.body)).toMatch(/200/);
    expect((await fixture.call("DELETE", "/v1/instances/web/expose/80")).status).toBe(204);
    await expect(fetchText(first.body)).rejects.toThrow(/ECONNREFUSED/);
    expect((await fixture.call("DELETE", "/v1/instances/web/expose/80")).status).toBe(404);
  });

  it("starts again under its handle, with secrets added", async () => {
    const fixture = await daemonFixture();
    await fixture.call("PUT", "/v1/secrets/KEY", { value: "v" });
    await boot(fixture, web);
    await fixture.call("POST", "/v1/instances/web/stop");
    const again = await fixture.call("POST", "/v1/instances", { handle: "web", secrets: ["KEY"] });
    expect(again).toMatchObject({ status: 200, body: { handle: "web", state: "starting", command: ["serve", "80"] } });
    expect(await fixture.reaches("web", "running")).toMatchObject({ secret_keys: ["KEY"] });
  });

  it("is gone with its ports, disk and logs after a delete", async () => {
    const fixture = await daemonFixture();
    const { endpoints } = await boot(fixture, web);
    expect((await fixture.call("DELETE", "/v1/instances/web")).status).toBe(204);
    await expect(fetchText(endpoints[0])).rejects.toThrow(/ECONNREFUSED/);
    expect(fixture.host.machines.size + fixture.host.disks.size).toBe(0);
  });

  it("can be stopped while it starts", async () => {
    const fixture = await daemonFixture();
    fixture.driver.beforeCreate = () => new Promise(() => undefined);
    await fixture.call("POST", "/v1/instances", web);
    await fixture.call("POST", "/v1/instances/web/stop");
    expect(await fixture.get("web")).toMatchObject({ state: "stopped", failure: null });
  });
});

describe("a daemon that comes back", () => {
  it("takes up what runs and what is paused, on the same ports", async () => {
    const first = await daemonFixture();
    const running = await boot(first, web);
    const paused = await boot(first, { ...web, handle: "paused" });
    await first.call("POST", "/v1/instances/paused/pause");
    await first.daemon.close(false);
    const second = await daemonFixture(first);
    expect(await second.get("web")).toMatchObject({ state: "running", endpoints: running.endpoints });
    expect(await second.get("paused")).toMatchObject({ state: "paused", endpoints: paused.endpoints });
    expect(await fetchText(running.endpoints[0])).toMatch(/200/);
    expect(await fetchText(paused.endpoints[0])).toMatch(/200/);
  });

  it("keeps the record of what ended meanwhile, and it wakes", async () => {
    const first = await daemonFixture();
    const { endpoints } = await boot(first, web);
    await first.daemon.close(false);
    await first.host.machines.get((await firstId(first)) ?? "")?.kill();
    const second = await daemonFixture(first);
    expect(await second.get("web")).toMatchObject({ state: "stopped", endpoints });
    expect(await fetchText(endpoints[0])).toMatch(/200/);
  });

  it("keeps leases, and removes a machine that nobody wants", async () => {
    const first = await daemonFixture();
    await boot(first, web);
    await first.call("POST", "/v1/instances/web/lease", { ttl_ms: 60_000, reason: "build" });
    await first.daemon.close(false);
    const second = await daemonFixture(first);
    expect(await second.get("web")).toMatchObject({ lease_held: true, lease_reason: "build" });
  });
});

const firstId = async (fixture: DaemonFixture): Promise<string | undefined> => [...fixture.host.machines.keys()][0];

describe("an instance that gets another spec", () => {
  it("keeps id, ports and children, and starts with the new command", async () => {
    const fixture = await daemonFixture();
    const before = await boot(fixture, { ...web, exposes: [80, 81] });
    const put = { handle: "web", command: ["serve", "80"], memory_mb: 99, exposes: [80, 82], pause_after_idle_s: null };
    const { status, body } = await fixture.call<InstanceView>("PUT", "/v1/instances/web", put);
    expect(status).toBe(200);
    expect(body).toMatchObject({ id: before.id, state: "stopped", memory_mb: 99, expose_ports: [80, 82] });
    expect(body.endpoints[0]).toEqual(before.endpoints[0]);
    expect(await fetchText(before.endpoints[0])).toMatch(/200/);
  });

  it("is left as it was when the new one is no good", async () => {
    const fixture = await daemonFixture();
    const before = await boot(fixture, web);
    const { status } = await fixture.call("PUT", "/v1/instances/web", { ...web, secrets: ["NOPE"] });
    expect(status).toBe(404);
    expect(await fixture.get("web")).toMatchObject({ state: "running", endpoints: before.endpoints });
  });
});
