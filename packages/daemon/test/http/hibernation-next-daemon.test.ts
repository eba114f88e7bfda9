import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { daemonFixture, type DaemonFixture } from "../daemon-fixture.ts";
import { asleep, boot, CHAIN, fetchFrom, logOf, reasons, whileWriting } from "./hibernation-steps.ts";

const LATER_MS = 3_600_000;

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

const hookFor = (wake_at: string) => ({ command: ["echo", JSON.stringify({ wake_at })] });
