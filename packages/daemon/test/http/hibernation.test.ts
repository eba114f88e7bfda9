import { once } from "node:events";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { InstanceView } from "@aegis/protocol/instance";
import { daemonFixture, ndjson } from "../daemon-fixture.ts";
import type { DaemonFixture } from "../daemon-fixture.ts";

const SERVE = { command: ["serve", "80"], exposes: [80], pause_after_idle_s: null, stop_after_paused_s: null };
const CHAIN = { pause_after_idle_s: 0.1, stop_after_paused_s: 0.1 };
const LATER_MS = 3_600_000;

async function boot(fixture: DaemonFixture, body: object = {}): Promise<string> {
  const created = await fixture.call<{ id: string }>("POST", "/v1/instances", { ...SERVE, ...body });
  expect(created.status).toBe(201);
  await fixture.reaches(created.body.id, "running");
  return created.body.id;
}

const act = (fixture: DaemonFixture, id: string, what: string, body?: object) =>
  fixture.call<InstanceView & { error?: string; code?: string }>("POST", `/v1/instances/${id}/${what}`, body);

async function asleep(fixture: DaemonFixture, body: object = {}): Promise<string> {
  const id = await boot(fixture, body);
  expect(await act(fixture, id, "hibernate")).toMatchObject({
    status: 200,
    body: { state: "hibernated", stats: null },
  });
  expect(fixture.host.snapshots.has(id)).toBe(true);
  return id;
}

const set = (fixture: DaemonFixture, id: string, body: object) => fixture.call("PATCH", `/v1/instances/${id}`, body);

const reasons = async (fixture: DaemonFixture, id: string) =>
  ((await fixture.get(id)).power_history ?? []).map(({ state, reason }) => `${state}: ${reason}`);

const logOf = async (fixture: DaemonFixture, id: string): Promise<string[]> =>
  ndjson((await fixture.call("GET", `/v1/instances/${id}/logs`)).text).map(({ line }) => String(line));

const fetchFrom = async (fixture: DaemonFixture, id: string): Promise<string> =>
  (await fetch((await fixture.get(id)).endpoints[0]?.url ?? "")).text();

const exec = (fixture: DaemonFixture, id: string) =>
  fixture.call("POST", `/v1/instances/${id}/exec`, { command: ["true"] });

describe("the chain", () => {
  it("leads from running over paused to hibernated, and the next connection goes on from there", async () => {
    const fixture = await daemonFixture();
    const id = await boot(fixture, CHAIN);
    const harness = fixture.driver.machine(id)?.harness;
    await fixture.reaches(id, "hibernated");
    expect(fixture.driver.machine(id)).toBeNull();
    await set(fixture, id, { pause_after_idle_s: null });
    expect(await fetchFrom(fixture, id)).toContain("hello from");
    expect((await reasons(fixture, id)).slice(1)).toEqual([
      "running: created",
      "paused: idle for 0.1 s",
      "hibernated: paused for 0.1 s",
      "starting: connection to 80",
      "running: connection to 80",
    ]);
    expect(fixture.driver.machine(id)).toMatchObject({ boot: 2, harness });
    expect(fixture.host.snapshots.size).toBe(0);
  });

  it.each<[string, object, boolean]>([
    ["the driver cannot", {}, false],
    ["it is not wanted", { hibernate: false }, true],
  ])("ends with stopped where %s", async (_why, body, hibernates) => {
    const fixture = await daemonFixture(undefined, { hibernates });
    const id = await boot(fixture, { ...CHAIN, ...body });
    await fixture.reaches(id, "stopped");
    expect((await reasons(fixture, id)).at(-1)).toBe("stopped: paused for 0.1 s");
  });

  it("ends with stopped where it fails, and says why", async () => {
    const fixture = await daemonFixture();
    fixture.driver.faults.hibernate = new Error("no room for 512 MB");
    const id = await boot(fixture, CHAIN);
    await fixture.reaches(id, "stopped");
    const why = "paused for 0.1 s; it could not be hibernated: no room for 512 MB";
    expect((await reasons(fixture, id)).at(-1)).toBe(`stopped: ${why}`);
    expect((await logOf(fixture, id)).join("\n")).toContain(why);
    expect(fixture.host.snapshots.size).toBe(0);
    expect(await fetchFrom(fixture, id)).toContain("hello from");
  });

  it("is cut short by whoever wants it awake", async () => {
    const fixture = await daemonFixture();
    const begun = whileWriting(fixture);
    const id = await boot(fixture);
    const asked = act(fixture, id, "hibernate");
    await begun;
    const woken = act(fixture, id, "resume");
    expect(await asked).toMatchObject({ status: 409, body: { code: "wrong_state" } });
    expect((await woken).body).toMatchObject({ state: "running" });
    expect(fixture.driver.machine(id)).toMatchObject({ boot: 1 });
    expect(fixture.host.snapshots.size).toBe(0);
  });

  it("counts as a hibernation and a wake, not as a boot", async () => {
    const fixture = await daemonFixture();
    const id = await asleep(fixture);
    expect((await fixture.call("GET", "/v1/status")).body).toMatchObject({ instances: { hibernated: 1, stopped: 0 } });
    expect((await fixture.call("GET", "/v1/instances?state=hibernated")).body).toMatchObject([{ id }]);
    await act(fixture, id, "resume");
    const metrics = (await fixture.call("GET", "/metrics")).text;
    for (const line of ["hibernations_total 1", "wakes_total 1", "boots_total 1"])
      expect(metrics).toContain(`aegis_instance_${line}\n`);
    expect(metrics).toContain('aegis_instances{state="hibernated"} 0');
  });
});

describe("on request", () => {
  it("goes down from paused too, and once is enough", async () => {
    const fixture = await daemonFixture();
    const id = await boot(fixture);
    await act(fixture, id, "pause");
    for (let times = 0; times < 2; times++)
      expect((await act(fixture, id, "hibernate")).body).toMatchObject({ state: "hibernated" });
  });

  it("asks the pause hook, unless it is forced", async () => {
    const fixture = await daemonFixture();
    const id = await boot(fixture, { pause_hook: { command: ["exit", "4"] } });
    expect(await act(fixture, id, "hibernate")).toMatchObject({
      status: 409,
      body: { code: "wrong_state", error: expect.stringContaining("exit code 4") },
    });
    expect((await act(fixture, id, "hibernate", { force: true })).body).toMatchObject({ state: "hibernated" });
  });

  it("is refused to one that is stopped, and by a driver that cannot", async () => {
    const fixture = await daemonFixture();
    const id = await boot(fixture);
    await act(fixture, id, "stop");
    expect(await act(fixture, id, "hibernate")).toMatchObject({ status: 409, body: { code: "wrong_state" } });
    const cannot = await daemonFixture(undefined, { hibernates: false });
    expect(await act(cannot, await boot(cannot), "hibernate")).toMatchObject({
      status: 502,
      body: { code: "driver_failed", error: expect.stringMatching(/fake driver cannot hibernate.*aegis doctor/) },
    });
  });

  it("leaves it paused when it fails, and says why", async () => {
    const fixture = await daemonFixture();
    fixture.driver.faults.hibernate = new Error("a device cannot be written down");
    const id = await boot(fixture);
    expect(await act(fixture, id, "hibernate")).toMatchObject({
      status: 502,
      body: { error: expect.stringContaining("stays paused: a device cannot be written down") },
    });
    expect(await fixture.get(id)).toMatchObject({ state: "paused" });
    expect(await fetchFrom(fixture, id)).toContain("hello from");
  });
});

describe("a hibernated instance", () => {
  it.each<[string, (fixture: DaemonFixture, id: string) => Promise<unknown>]>([
    ["an exec", exec],
    ["a start", (fixture, id) => act(fixture, id, "start")],
    ["a resume", (fixture, id) => act(fixture, id, "resume")],
    ["a lease", (fixture, id) => act(fixture, id, "lease", { ttl_ms: 60_000, reason: "build" })],
    ["a connection", fetchFrom],
  ])("is woken by %s, with a token of its own and the workload it had", async (_what, wake) => {
    const fixture = await daemonFixture();
    const id = await boot(fixture);
    const harness = fixture.driver.machine(id)?.harness;
    const before = harness?.token;
    await act(fixture, id, "hibernate");
    await wake(fixture, id);
    await expect.poll(async () => (await fixture.get(id)).state).toBe("running");
    const machine = fixture.driver.machine(id);
    expect(machine).toMatchObject({ boot: 2, harness });
    expect(machine?.harness.token).not.toBe(before);
    const status = await machine?.harness.openStream({ kind: "guest_api" });
    expect(status?.destroyed).toBe(false);
  });

  it("is told of the resume, and woken ahead of the time it asked for", async () => {
    const fixture = await daemonFixture();
    const wake_at = new Date(Date.now() + 5500).toISOString();
    const ask = JSON.stringify({ id: "s-1", wake_at, boot_lead_s: 600 });
    const pause_hook = { command: ["echo", ask], resume: { command: ["exit", "5"] } };
    const id = await boot(fixture, { pause_hook });
    await act(fixture, id, "hibernate");
    await expect.poll(() => reasons(fixture, id)).toContain(`running: wake asked for at ${wake_at}`);
    expect(await fixture.get(id)).toMatchObject({ wake_at: null });
    await expect.poll(() => logOf(fixture, id), { timeout: 8000 }).toContain("its resume hook failed: exit code 5");
  });

  it.each(["stop", "disable"])("has nothing left on disk after a %s", async (what) => {
    const fixture = await daemonFixture();
    const id = await asleep(fixture);
    expect((await act(fixture, id, what)).body).toMatchObject({ state: "stopped" });
    expect(fixture.host.snapshots.size).toBe(0);
    await act(fixture, id, "start");
    expect((await logOf(fixture, id)).join("\n")).not.toContain("could not be taken up");
  });

  it("has nothing left after a delete, and boots another spec from the beginning", async () => {
    const fixture = await daemonFixture();
    const [deleted, replaced] = [await asleep(fixture), await asleep(fixture)];
    await fixture.call("DELETE", `/v1/instances/${deleted}`);
    await fixture.call("PUT", `/v1/instances/${replaced}`, { ...SERVE, memory_mb: 64 });
    expect(await fixture.get(replaced)).toMatchObject({ state: "stopped", memory_mb: 64 });
    expect(fixture.host.snapshots.size).toBe(0);
  });

  it("ends as its workload did, when that had ended before", async () => {
    const fixture = await daemonFixture();
    const id = await asleep(fixture);
    fixture.host.snapshots.get(id)?.harness.signalWorkload("SIGTERM");
    await setImmediate();
    await act(fixture, id, "resume");
    await fixture.reaches(id, "stopped");
    expect(await fixture.get(id)).toMatchObject({ exit_code: 143 });
  });

  it("boots cold and says so when it cannot be taken up", async () => {
    const fixture = await daemonFixture();
    const id = await asleep(fixture);
    fixture.driver.faults.restore = new Error("it was written by another QEMU");
    expect(await fetchFrom(fixture, id)).toContain("hello from");
    const why = "could not be taken up where it was: it was written by another QEMU; it boots cold";
    expect(await logOf(fixture, id)).toContain(why);
    expect(await reasons(fixture, id)).toContain(`starting: ${why}`);
    expect(fixture.driver.machine(id)).toMatchObject({ boot: 3 });
  });

  it("boots cold when its harness does not answer", async () => {
    const fixture = await daemonFixture();
    const id = await asleep(fixture);
    const snapshot = fixture.host.snapshots.get(id);
    if (snapshot === undefined) throw new Error("nothing was written");
    snapshot.harness.dial = () => {
      throw new Error("nobody is there");
    };
    await act(fixture, id, "start");
    expect((await logOf(fixture, id)).join("\n")).toContain(
      "its harness does not answer: nobody is there; it boots cold",
    );
    expect(await fixture.get(id)).toMatchObject({ state: "running" });
  });

  it("boots cold after a change of the key", async () => {
    const fixture = await daemonFixture();
    const id = await asleep(fixture);
    await fixture.call("POST", "/v1/secrets/rotate-key");
    await act(fixture, id, "start");
    expect((await logOf(fixture, id)).join("\n")).toContain("could not be taken up where it was: its key is another");
  });
});

describe("the next daemon", () => {
  it("finds it hibernated, after a host reboot too, and takes it up", async () => {
    const first = await daemonFixture();
    const id = await asleep(first, { pause_hook: hookFor(new Date(Date.now() + LATER_MS).toISOString()) });
    await first.daemon.close(false);
    first.host.bootId = "boot-2";
    const second = await daemonFixture(first);
    expect(await second.get(id)).toMatchObject({ state: "hibernated", wake_at: expect.any(String) });
    expect(await fetchFrom(second, id)).toContain("hello from");
    expect(second.driver.machine(id)).toMatchObject({ boot: 2 });
    expect(await reasons(second, id)).not.toContainEqual(expect.stringContaining("boots cold"));
  });

  it("finds it paused when the last one ended in the middle, and the writing begins anew", async () => {
    const first = await daemonFixture();
    const begun = whileWriting(first);
    const id = await boot(first, CHAIN);
    await begun;
    await first.daemon.close(false);
    expect(first.driver.machine(id)).not.toBeNull();
    first.driver.whileHibernating = async () => undefined;
    const second = await daemonFixture(first);
    await second.reaches(id, "hibernated");
    expect((await reasons(second, id)).slice(-2)).toEqual([
      "paused: the daemon came back",
      "hibernated: paused for 0.1 s",
    ]);
  });

  it("finds it hibernated when the last one died before it could say so", async () => {
    const first = await daemonFixture();
    const id = await asleep(first);
    await first.daemon.close(false);
    change(first, "json_set(body, '$.state', 'paused')");
    const second = await daemonFixture(first);
    expect(await second.get(id)).toMatchObject({ state: "hibernated" });
    expect(await fetchFrom(second, id)).toContain("hello from");
    expect(second.driver.machine(id)).toMatchObject({ boot: 2 });
  });

  it.each([true, false])("goes on with a wake in which the last one died, used up or not: %s", async (usedUp) => {
    const first = await daemonFixture();
    const id = await asleep(first);
    await first.daemon.close(false);
    change(first, "json_set(body, '$.state', 'starting', '$.wanted', 'running', '$.boot', 2)");
    if (usedUp) first.host.snapshots.clear();
    const second = await daemonFixture(first);
    await expect.poll(async () => (await second.get(id)).state).toBe("running");
    expect(second.driver.machine(id)).toMatchObject({ boot: usedUp ? 4 : 3 });
    expect((await logOf(second, id)).join("\n").includes("boots cold")).toBe(usedUp);
  });

  it("ends a stop in which the last one died", async () => {
    const first = await daemonFixture();
    const id = await asleep(first);
    await first.daemon.close(false);
    change(first, "json_set(body, '$.wanted', 'stopped')");
    const second = await daemonFixture(first);
    expect(await second.get(id)).toMatchObject({ state: "stopped" });
    await expect.poll(() => second.host.snapshots.size).toBe(0);
  });
});

/** As if a daemon had been killed when that was all it had written. */
function change({ home }: DaemonFixture, body: string): void {
  const state = new DatabaseSync(join(home.root, "data/aegis.db"));
  state.exec(`UPDATE observation SET body = ${body}`);
  state.close();
}

/** From now on writing takes until it is given up. @returns when one has begun */
function whileWriting({ driver }: DaemonFixture): Promise<void> {
  return new Promise((begin) => {
    driver.whileHibernating = async (signal) => {
      begin();
      if (!signal.aborted) await once(signal, "abort");
    };
  });
}

const hookFor = (wake_at: string) => ({ command: ["echo", JSON.stringify({ wake_at })] });
