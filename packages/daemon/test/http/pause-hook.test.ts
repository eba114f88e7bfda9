import { describe, expect, it } from "vitest";
import { daemonFixture, ndjson } from "../daemon-fixture.ts";
import { boot, FOREVER, history, set, untilHistory } from "./power-steps.ts";

describe("a pause hook", () => {
  const asked = { pause_after_idle_s: 0.1, stop_after_paused_s: null };

  it.each<[string, object]>([
    ["a command", { command: ["true"] }],
    ["a request", { http: { port: 80, path: "/may-sleep" } }],
  ])("that agrees lets it sleep: %s", async (_what, pause_hook) => {
    const fixture = await daemonFixture();
    const { id } = await boot(fixture, { ...asked, command: ["serve", "80"], pause_hook });
    await fixture.reaches(id, "paused");
    await fixture.call("POST", `/v1/instances/${id}/resume`);
    expect(await fixture.get(id)).toMatchObject({ state: "running" });
  });

  it.each<[string, object, string]>([
    ["says so by its exit code", { command: ["exit", "4"] }, "exit code 4"],
    ["says why", { command: ["echo", '{"busy":true,"reason":"a turn is going on"}'] }, "a turn is going on"],
    ["does not answer in time", { command: FOREVER, timeout_s: 0.1 }, "no answer within 0.1 s"],
    ["is not there", { command: ["no-such-command"] }, 'a fake machine has no command "no-such-command"'],
    ["does not listen", { http: { port: 81, path: "/" } }, "nothing listens on port 81"],
  ])("that %s postpones the pause", async (_what, pause_hook, reason) => {
    const fixture = await daemonFixture();
    const { id } = await boot(fixture, { ...asked, pause_hook });
    await untilHistory(fixture, id, new RegExp(`^pause postponed: ${reason}`));
    expect(await fixture.get(id)).toMatchObject({ state: "running" });
    expect(await fixture.call("POST", `/v1/instances/${id}/pause`)).toMatchObject({
      status: 409,
      body: { code: "wrong_state", error: expect.stringContaining(reason) },
    });
    // it is asked again and again, and that is one line of the history
    await set(fixture, id, { pause_hook: { command: ["true"] } });
    await fixture.reaches(id, "paused");
    const postponed = (await history(fixture, id)).filter((entry) => entry.reason.startsWith("pause postponed"));
    expect(postponed).toHaveLength(1);
  });

  it("has no say when it is forced", async () => {
    const fixture = await daemonFixture();
    const { id } = await boot(fixture, { pause_after_idle_s: null, pause_hook: { command: ["false"] } });
    const answer = await fixture.call("POST", `/v1/instances/${id}/pause`, { force: true });
    expect(answer.body).toMatchObject({ state: "paused" });
  });

  it("does not hold up whoever comes while it is asked, and then it stays awake", async () => {
    const fixture = await daemonFixture();
    const hook = { command: FOREVER, timeout_s: 60 };
    const { id } = await boot(fixture, { ...asked, pause_after_idle_s: 0.1, pause_hook: hook });
    await expect
      .poll(async () => ndjson((await fixture.call("POST", `/v1/instances/${id}/exec`, { command: ["true"] })).text))
      .toMatchObject([{}, { exit_code: 0 }]);
    expect(await fixture.get(id)).toMatchObject({ state: "running" });
  });

  it("tells of the resume, also in another daemon, and says when that fails", async () => {
    const first = await daemonFixture();
    const pause_hook = { command: ["echo", '{"id":"s-1"}'], resume: { command: ["exit", "5"] } };
    const { id } = await boot(first, { ...asked, pause_hook });
    await first.reaches(id, "paused");
    await first.daemon.close(false);
    const second = await daemonFixture(first);
    await set(second, id, { pause_after_idle_s: null });
    await second.call("POST", `/v1/instances/${id}/resume`);
    const lines = async () =>
      ndjson((await second.call("GET", `/v1/instances/${id}/logs`)).text).map(({ line }) => line);
    await expect.poll(lines).toContain("its resume hook failed: exit code 5");
  });
});
