import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { daemonFixture, type DaemonFixture, ndjson } from "../daemon-fixture.ts";
import { act, asleep, boot, fetchFrom, logOf, reasons, SERVE } from "./hibernation-steps.ts";

const exec = (fixture: DaemonFixture, id: string) =>
  fixture.call("POST", `/v1/instances/${id}/exec`, { command: ["true"] });

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

  /** Its harness answers when the returned function is called. */
  const slowHarness = (fixture: DaemonFixture): ((outcome?: Promise<never>) => void) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    fixture.driver.whileRestoring = () => promise;
    return resolve;
  };

  it("answers a connection as soon as it can, before its harness does", async () => {
    const fixture = await daemonFixture();
    const id = await asleep(fixture);
    const goOn = slowHarness(fixture);
    expect(await fetchFrom(fixture, id)).toContain("hello from");
    expect(await fixture.get(id)).toMatchObject({ state: "starting" });
    goOn();
    await fixture.reaches(id, "running");
    expect(await fetchFrom(fixture, id)).toContain("hello from");
  });

  it("is not refused what it asks for before it can have its new token", async () => {
    const fixture = await daemonFixture();
    const id = await boot(fixture);
    const harness = fixture.driver.machine(id)?.harness;
    await act(fixture, id, "hibernate");
    const goOn = slowHarness(fixture);
    await fetchFrom(fixture, id);
    const asked = harness?.openStream({ kind: "guest_api" });
    goOn();
    await fixture.reaches(id, "running");
    expect((await asked)?.destroyed).toBe(false);
    const refused = await fixture.call("GET", "/v1/audit?action=channel.open");
    expect(ndjson(refused.text)).toEqual([]);
  });

  it("boots cold for the connection that it answered, when its harness does not come", async () => {
    const fixture = await daemonFixture();
    const id = await asleep(fixture);
    const goOn = slowHarness(fixture);
    expect(await fetchFrom(fixture, id)).toContain("hello from");
    goOn(Promise.reject(new Error("nothing came of it")));
    await fixture.reaches(id, "running");
    expect((await logOf(fixture, id)).join("\n")).toContain("nothing came of it; it boots cold");
    expect(fixture.driver.machine(id)).toMatchObject({ boot: 3 });
    expect(await fetchFrom(fixture, id)).toContain("hello from");
  });

  it("is told of the resume, and woken ahead of the time it asked for", async () => {
    const fixture = await daemonFixture();
    // the lead is longer than that: it is woken as soon as it sleeps
    const wake_at = new Date(Date.now() + 300_000).toISOString();
    const ask = JSON.stringify({ id: "s-1", wake_at, boot_lead_s: 600 });
    const pause_hook = { command: ["echo", ask], resume: { command: ["exit", "5"] } };
    const id = await boot(fixture, { pause_hook });
    await act(fixture, id, "hibernate");
    await expect.poll(() => reasons(fixture, id)).toContain(`running: wake asked for at ${wake_at}`);
    expect(await fixture.get(id)).toMatchObject({ wake_at: null });
    await expect.poll(() => logOf(fixture, id)).toContain("its resume hook failed: exit code 5");
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
