import net from "node:net";
import { once } from "node:events";
import { describe, expect, it, onTestFinished } from "vitest";
import type { InstanceView } from "@aegis/protocol/instance";
import { daemonFixture, type DaemonFixture } from "../daemon-fixture.ts";
import { boot, FOREVER, history, set, untilHistory } from "./power-steps.ts";

async function connect(fixture: DaemonFixture, view: InstanceView): Promise<net.Socket> {
  const socket = net.connect(view.endpoints[0]?.public_port ?? 0, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  await expect.poll(async () => (await fixture.get(view.id)).active_connections).toBe(1);
  return socket;
}

describe("settings of an instance that runs", () => {
  it("take effect at once", async () => {
    const fixture = await daemonFixture();
    const { id } = await boot(fixture, { pause_after_idle_s: null, stop_after_paused_s: null, hibernate: false });
    expect((await set(fixture, id, { pause_after_idle_s: 0.1 })).body).toMatchObject({ pause_after_idle_s: 0.1 });
    await fixture.reaches(id, "paused");
    await set(fixture, id, { stop_after_paused_s: 0.1 });
    await fixture.reaches(id, "stopped");
  });

  it("never means never, also when the time was nearly over", async () => {
    const fixture = await daemonFixture();
    const { id } = await boot(fixture, { pause_after_idle_s: 0.2, stop_after_paused_s: null });
    await set(fixture, id, { pause_after_idle_s: null });
    // on a busy machine that was too late
    await fixture.call("POST", `/v1/instances/${id}/resume`);
    const other = await boot(fixture, { pause_after_idle_s: 0.3 });
    await fixture.reaches(other.id, "paused");
    expect(await fixture.get(id)).toMatchObject({ state: "running" });
  });

  it("stay as they are where nothing is said of them, and outlive the daemon", async () => {
    const first = await daemonFixture();
    const hook = { command: ["true"], resume: { http: { port: 80, path: "/on" } } };
    const { id } = await boot(first, { pause_after_idle_s: 7, restart: "always", pause_hook: hook });
    await set(first, id, { idle_policy: "leases_only" });
    await set(first, id, {});
    await first.daemon.close(false);
    const second = await daemonFixture(first);
    const expected = { idle_policy: "leases_only", pause_after_idle_s: 7, restart: "always", pause_hook: hook };
    expect(await second.get(id)).toMatchObject(expected);
    expect((await set(second, id, { pause_hook: null })).body.pause_hook).toBeNull();
  });

  it.each<[string, object, RegExp]>([
    ["an unknown field", { memory_mb: 64 }, /memory_mb/],
    ["an unknown policy", { restart: "sometimes" }, /restart/],
    ["a time below 0", { pause_after_idle_s: -1 }, /pause_after_idle_s/],
    ["a hook that asks nobody", { pause_hook: { timeout_s: 1 } }, /either a command/],
    ["a hook that asks twice", { pause_hook: { command: ["true"], http: { port: 1, path: "/" } } }, /either a command/],
    ["a resume hook that tells nobody", { pause_hook: { command: ["true"], resume: {} } }, /pause_hook.resume/],
    ["a path that is none", { pause_hook: { http: { port: 1, path: "x y" } } }, /path/],
  ])("%s is refused as in a create", async (_what, body, words) => {
    const fixture = await daemonFixture();
    const { id } = await boot(fixture, {});
    for (const answer of [
      await fixture.call("PATCH", `/v1/instances/${id}`, body),
      ...("memory_mb" in body ? [] : [await fixture.call("POST", "/v1/instances", { command: FOREVER, ...body })]),
    ])
      expect(answer).toMatchObject({ status: 400, body: { error: expect.stringMatching(words) } });
  });
});

describe("leases", () => {
  it("have an owner and an upper bound", async () => {
    const fixture = await daemonFixture();
    const { id } = await boot(fixture, {});
    const lease = (ttl_ms: number) => fixture.call("POST", `/v1/instances/${id}/lease`, { ttl_ms, reason: "build" });
    expect((await lease(60_000)).body).toMatchObject({ owner: "host", reason: "build" });
    expect(await lease(86_400_001)).toMatchObject({ status: 400, body: { error: expect.stringMatching(/24 h/) } });
    for (let n = 1; n < 64; n++) expect((await lease(60_000)).status).toBe(200);
    expect(await lease(60_000)).toMatchObject({ status: 429, body: { code: "quota_exceeded" } });
  });

  it("wake a paused instance and keep it awake until they expire", async () => {
    const fixture = await daemonFixture();
    const { id } = await boot(fixture, { pause_after_idle_s: 0.1, stop_after_paused_s: null });
    await fixture.reaches(id, "paused");
    await fixture.call("POST", `/v1/instances/${id}/lease`, { ttl_ms: 300, reason: "build" });
    await untilHistory(fixture, id, /^lease build$/);
    await expect.poll(async () => (await fixture.get(id)).leases).toEqual([]);
    await fixture.reaches(id, "paused");
  });
});

describe("the power history", () => {
  it("says what happened and why, outlives the daemon, and is bounded", async () => {
    const first = await daemonFixture();
    const { id } = await boot(first, { command: ["serve", "80"], exposes: [80], pause_after_idle_s: 0.1 });
    await first.reaches(id, "paused");
    await (await fetch((await first.get(id)).endpoints[0]?.url ?? "")).text();
    // what comes behind these is that it is idle again
    expect((await history(first, id)).slice(0, 4).map(({ state, reason }) => `${state}: ${reason}`)).toEqual([
      "starting: created",
      "running: created",
      "paused: idle for 0.1 s",
      "running: connection to 80",
    ]);
    await set(first, id, { pause_after_idle_s: null });
    for (let round = 0; round < 30; round++) {
      await first.call("POST", `/v1/instances/${id}/pause`);
      await first.call("POST", `/v1/instances/${id}/resume`);
    }
    const before = await history(first, id);
    expect(before).toHaveLength(50);
    expect(before.at(-1)).toMatchObject({ state: "running", reason: "resumed by request" });
    expect((await first.call<InstanceView[]>("GET", "/v1/instances")).body[0] ?? {}).not.toHaveProperty(
      "power_history",
    );
    await first.daemon.close(false);
    const second = await daemonFixture(first);
    await untilHistory(second, id, /the daemon came back/);
    expect((await history(second, id)).slice(0, -1)).toEqual(before.slice(1));
  });
});

describe("a connection", () => {
  const quick = { exposes: [80], pause_after_idle_s: 0.2, stop_after_paused_s: null };

  it("over HTTP that is merely kept open lets it sleep, and the next request wakes it", async () => {
    const fixture = await daemonFixture();
    const view = await boot(fixture, { ...quick, command: ["echo-server", "80"] });
    const socket = await connect(fixture, view);
    await fixture.reaches(view.id, "paused");
    socket.write("GET / HTTP/1.1\r\n\r\n");
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(answer.toString()).toBe("GET / HTTP/1.1\r\n\r\n");
    await expect.poll(async () => (await history(fixture, view.id)).at(-1)?.reason).toBe("idle for 0.2 s");
    expect(await fixture.get(view.id)).toMatchObject({ active_connections: 1 });
  });

  it.each<[string, object | number, string]>([
    ["to a TCP endpoint", { port: 80, protocol: "tcp" }, ""],
    ["that speaks something else", 80, "\u0000\u0003 no HTTP"],
  ])("%s keeps it awake while it is open", async (_what, expose, bytes) => {
    const fixture = await daemonFixture();
    const view = await boot(fixture, { ...quick, exposes: [expose], command: ["echo-server", "80"] });
    const socket = await connect(fixture, view);
    if (bytes !== "") {
      socket.write(bytes);
      await once(socket, "data");
    }
    const other = await boot(fixture, { pause_after_idle_s: 0.5, stop_after_paused_s: null });
    await fixture.reaches(other.id, "paused");
    expect(await fixture.get(view.id)).toMatchObject({ state: "running", active_connections: 1 });
    socket.destroy();
    await fixture.reaches(view.id, "paused");
  });

  it("that waits in a machine which cannot be woken is served as soon as it can", async () => {
    const fixture = await daemonFixture();
    const view = await boot(fixture, { ...quick, command: ["echo-server", "80"] });
    const socket = await connect(fixture, view);
    await fixture.reaches(view.id, "paused");
    fixture.driver.faults.resume = new Error("the freezer is stuck");
    socket.write("GET / HTTP/1.1\r\n\r\n");
    await expect.poll(() => fixture.warnings.join("\n")).toMatch(/could not be woken .* the freezer is stuck/);
    fixture.driver.faults.resume = null;
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(answer.toString()).toBe("GET / HTTP/1.1\r\n\r\n");
  });
});
