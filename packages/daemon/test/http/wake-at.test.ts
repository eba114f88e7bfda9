import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import type { InstanceView } from "@aegis/protocol/instance";
import { daemonFixture } from "../daemon-fixture.ts";
import type { DaemonFixture } from "../daemon-fixture.ts";

const FOREVER = ["sleep", "1000"];
/** more than the shortest sleep, by what a busy machine takes to fall asleep twice */
const SOON_MS = 9000;
const LATER_MS = 3_600_000;

const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();
const saying = (answer: object) => ({ command: ["echo", JSON.stringify(answer)] });

/** Paused by request, after its hook has said when it wants to be awake. */
async function asleep(fixture: DaemonFixture, wakeAt: string, body: object = {}): Promise<string> {
  const created = await fixture.call<{ id: string }>("POST", "/v1/instances", {
    command: FOREVER,
    pause_after_idle_s: null,
    stop_after_paused_s: null,
    pause_hook: saying({ id: "s-1", wake_at: wakeAt }),
    ...body,
  });
  const { id } = await fixture.reaches(created.body.id, "running");
  expect((await act(fixture, id, "pause")).body).toMatchObject({ state: "paused", wake_at: wakeAt });
  return id;
}

const reasons = async (fixture: DaemonFixture, id: string) =>
  ((await fixture.get(id)).power_history ?? []).map(({ state, reason }) => `${state}: ${reason}`);

const untilWoken = (fixture: DaemonFixture, id: string, wakeAt: string) =>
  expect.poll(() => reasons(fixture, id)).toContain(`running: wake asked for at ${wakeAt}`);

const act = (fixture: DaemonFixture, id: string, what: string) =>
  fixture.call<InstanceView>("POST", `/v1/instances/${id}/${what}`);

const stops = { stop_after_paused_s: 0.1, hibernate: false };

describe("a pause hook that names when to wake", () => {
  it("is woken then, from a stop too, and not before", async () => {
    const fixture = await daemonFixture();
    const wakeAt = inMs(SOON_MS);
    const [paused, stopped] = [await asleep(fixture, wakeAt), await asleep(fixture, wakeAt, stops)];
    expect(await fixture.reaches(stopped, "stopped")).toMatchObject({ wake_at: wakeAt });
    for (const id of [paused, stopped]) {
      await untilWoken(fixture, id, wakeAt);
      expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(wakeAt));
      expect(await fixture.get(id)).toMatchObject({ state: "running", wake_at: null });
    }
    // asked once more, it names a time that is over
    const again = await act(fixture, paused, "pause");
    expect(again.body).toMatchObject({ error: expect.stringContaining(`it wants to be awake at ${wakeAt}`) });
  });

  it("is booted ahead of it when it was stopped", async () => {
    const fixture = await daemonFixture();
    const wakeAt = inMs(LATER_MS);
    const hook = saying({ wake_at: wakeAt, boot_lead_s: 600 });
    const id = await asleep(fixture, wakeAt, { pause_hook: hook });
    await fixture.daemon.close(false);
    await fixture.host.machines.get(id)?.kill();
    const state = new DatabaseSync(join(fixture.home.root, "data/aegis.db"));
    state.exec(`UPDATE observation SET body = json_set(body, '$.bootAt', '${inMs(-1000)}')`);
    state.close();
    await untilWoken(await daemonFixture(fixture), id, wakeAt);
  });

  it("is woken by the next daemon, late if need be, and from what became of it", async () => {
    const first = await daemonFixture();
    const wakeAt = inMs(SOON_MS);
    const ids = [await asleep(first, wakeAt), await asleep(first, wakeAt, stops), await asleep(first, wakeAt)];
    await first.reaches(ids[1] ?? "", "stopped");
    await first.daemon.close(false);
    await first.host.machines.get(ids[2] ?? "")?.kill();
    await expect.poll(() => Date.now()).toBeGreaterThan(Date.parse(wakeAt));
    const second = await daemonFixture(first);
    for (const id of ids) await untilWoken(second, id, wakeAt);
  });

  it.each(["stop", "disable"])("sleeps on after a %s", async (what) => {
    const fixture = await daemonFixture();
    const id = await asleep(fixture, inMs(LATER_MS), stops);
    expect((await fixture.reaches(id, "stopped")).wake_at).not.toBeNull();
    expect((await act(fixture, id, what)).body).toMatchObject({ state: "stopped", wake_at: null });
  });

  it("has nothing left of it when somebody else woke it, or it never slept", async () => {
    const fixture = await daemonFixture();
    const id = await asleep(fixture, inMs(LATER_MS));
    expect((await act(fixture, id, "resume")).body).toMatchObject({ state: "running", wake_at: null });
    fixture.driver.faults.pause = new Error("the freezer is stuck");
    expect((await act(fixture, id, "pause")).status).toBe(500);
    expect(await fixture.get(id)).toMatchObject({ state: "running", wake_at: null });
    fixture.driver.faults.pause = null;
    // without asking there is no answer
    await fixture.call("POST", `/v1/instances/${id}/pause`, { force: true });
    expect(await fixture.get(id)).toMatchObject({ state: "paused", wake_at: null });
  });

  it("says no with a time that is none, and is told that nothing came of the pause", async () => {
    const fixture = await daemonFixture();
    const pause_hook = { ...saying({ wake_at: "tomorrow" }), resume: { command: ["exit", "7"] } };
    const body = { command: FOREVER, pause_after_idle_s: 0.1, pause_hook };
    const { id } = (await fixture.call<{ id: string }>("POST", "/v1/instances", body)).body;
    await expect
      .poll(() => reasons(fixture, id))
      .toContainEqual(expect.stringMatching(/^running: pause postponed: its wake_at is no time/));
    const logs = async () => (await fixture.call("GET", `/v1/instances/${id}/logs`)).text;
    await expect.poll(logs).toContain("its resume hook failed: exit code 7");
  });
});
