import { describe, expect, it } from "vitest";
import { daemonFixture } from "../daemon-fixture.ts";
import { act, asleep, boot, CHAIN, fetchFrom, logOf, reasons, set, whileWriting } from "./hibernation-steps.ts";

describe("the chain", () => {
  it("leads from running over paused to hibernated, and the next connection goes on from there", async () => {
    const fixture = await daemonFixture();
    const id = await boot(fixture, CHAIN);
    await fixture.reaches(id, "hibernated");
    expect(fixture.driver.machine(id)).toBeNull();
    const harness = fixture.host.snapshots.get(id)?.harness;
    expect(harness).toBeDefined();
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
