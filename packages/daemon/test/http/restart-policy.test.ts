import { describe, expect, it } from "vitest";
import { daemonFixture } from "../daemon-fixture.ts";
import { boot, FOREVER, history, set, untilHistory } from "./power-steps.ts";

describe("a restart policy", () => {
  it.each([
    ["on-failure", ["exit", "3"], true],
    ["on-failure", ["true"], false],
    ["always", ["true"], true],
    ["no", ["exit", "3"], false],
  ])("%s after %j: %s", async (restart, command, again) => {
    const fixture = await daemonFixture();
    const { body } = await fixture.call<{ id: string }>("POST", "/v1/instances", { command, restart });
    if (again) return untilHistory(fixture, body.id, new RegExp(`^restart policy ${restart}$`));
    await fixture.reaches(body.id, "stopped");
    expect(await fixture.get(body.id)).toMatchObject({ restart_at: null });
  });

  it("waits longer each time, says when, and ends with a stop", async () => {
    const fixture = await daemonFixture();
    const body = { command: ["exit", "3"], restart: "always" };
    const { id } = (await fixture.call<{ id: string }>("POST", "/v1/instances", body)).body;
    for (const seconds of [0.1, 0.2, 0.4, 0.8, 1.6])
      await untilHistory(fixture, id, new RegExp(`^exited with code 3; starts again in ${seconds} s`));
    expect((await fixture.get(id)).restart_at).toEqual(expect.any(String));
    expect((await fixture.call("POST", `/v1/instances/${id}/stop`)).body).toMatchObject({ restart_at: null });
    expect((await history(fixture, id)).at(-1)).toMatchObject({ state: "stopped", reason: "stopped by request" });
  });

  it("is over when it is switched off", async () => {
    const fixture = await daemonFixture();
    const { id } = (
      await fixture.call<{ id: string }>("POST", "/v1/instances", { command: ["true"], restart: "always" })
    ).body;
    // long enough that it is not over before the next call
    await untilHistory(fixture, id, /starts again in 1.6 s/);
    expect((await set(fixture, id, { restart: "no" })).body).toMatchObject({ state: "stopped", restart_at: null });
  });

  it("goes on in the next daemon", async () => {
    const first = await daemonFixture();
    const { id } = (await first.call<{ id: string }>("POST", "/v1/instances", { command: ["true"], restart: "always" }))
      .body;
    await untilHistory(first, id, /starts again in 0.8 s/);
    await first.daemon.close(false);
    const second = await daemonFixture(first);
    const known = (await history(second, id)).length;
    await expect.poll(async () => (await history(second, id)).length).toBeGreaterThan(known);
  });

  it("starts again what ended while there was no daemon", async () => {
    const first = await daemonFixture();
    const { id } = await boot(first, { restart: "on-failure" });
    await first.daemon.close(false);
    await first.host.machines.get(id)?.kill();
    const second = await daemonFixture(first);
    expect(await second.reaches(id, "running")).toMatchObject({ failure: null });
  });

  it("does not spin over a boot that cannot work, and says why", async () => {
    const fixture = await daemonFixture();
    const body = { command: ["no-such-command"], restart: "always" };
    const { id } = (await fixture.call<{ id: string }>("POST", "/v1/instances", body)).body;
    await expect(fixture.reaches(id, "running")).rejects.toThrow(/no-such-command/);
    expect(await fixture.get(id)).toMatchObject({ state: "failed", restart_at: null });
  });

  it("tries a boot again that may have more luck", async () => {
    const fixture = await daemonFixture();
    fixture.driver.faults.create = new Error("no room");
    const { id } = (
      await fixture.call<{ id: string }>("POST", "/v1/instances", { command: FOREVER, restart: "always" })
    ).body;
    await untilHistory(fixture, id, /^boot failed: no room; starts again in 0.2 s/);
    fixture.driver.faults.create = null;
    await expect.poll(async () => (await fixture.get(id)).state).toBe("running");
  });
});
