import { spawn } from "node:child_process";
import { once } from "node:events";
import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { bundleDaemon, CrashingDaemon } from "./crashing-daemon.ts";
import { homeKeyOf, runFolderOf, signal } from "../home-on-host.ts";
import { loseMachines, processesOf } from "./lost-machines.ts";

const FOREVER = ["sleep", "infinity"];
const SERVER = ["httpd", "-f", "-p", "8080", "-h", "/www"];
const OLD_BOOT = randomUUID();

describe("after a reboot of the host", () => {
  let aegis: Aegis;
  let bundle: { file: string; remove: () => void };
  let living: CrashingDaemon | null = null;

  beforeAll(async () => {
    bundle = bundleDaemon();
    aegis = await startAegis();
  });
  afterAll(async () => {
    await living?.kill9();
    bundle.remove();
    await aegis.stop();
  });

  it("instances come back as they were wanted, and what is stale confuses nobody", async () => {
    const { instances } = aegis.client;
    const exposes = [8080];
    const names = ["running", "busy", "paused", "stopped", "disabled", "deleted"] as const;
    const made = await Promise.all(names.map((handle) => aegis.boot({ handle, command: SERVER, exposes })));
    const ended = await aegis.boot({ handle: "ended", command: ["true"] });
    // as a power cut does, a reboot takes what a virtual machine has not handed to its disk
    await aegis.sh("running", "echo kept > /root/kept; sync");
    await instances.pause("paused");
    await instances.stop("stopped");
    await instances.disable("disabled");
    await instances.delete("deleted");
    await aegis.reaches(ended.id, "stopped");
    const records = machineRecords();
    await aegis.kill9();
    await loseMachines(aegis.home, OLD_BOOT);
    const bystander = spawn("sleep", ["300"], { stdio: "ignore" });
    try {
      const pid = bystander.pid ?? 0;
      const startTime = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[19] ?? "";
      // /run was emptied, but for records that name a process of the new boot
      leaveStale(records.get(made[0]?.id ?? "") ?? "", { pid, startTime, hostBootId: OLD_BOOT });
      leaveStale(records.get(made[1]?.id ?? "") ?? "", { pid });
      await comeBack();
      for (const handle of ["running", "busy"]) {
        const { id } = await instances.get(handle);
        expect(await aegis.until(id, ({ state }) => state !== "starting")).toMatchObject({
          state: "running",
          failure: null,
        });
      }
      expect(await aegis.sh("running", "cat /root/kept")).toBe("kept");
      const states = (await instances.list()).map(({ handle, state }) => `${handle} ${state}`).toSorted();
      expect(states).toEqual([
        "busy running",
        "disabled stopped",
        "ended stopped",
        "paused stopped",
        "running running",
        "stopped stopped",
      ]);
      for (const handle of ["paused", "stopped"]) {
        const { endpoints } = await instances.get(handle);
        expect(await (await fetch(String(endpoints[0]?.url))).text()).toBe("hello from inside\n");
        expect(await instances.get(handle)).toMatchObject({ state: "running" });
      }
      const { endpoints } = await instances.get("disabled");
      expect((await fetch(String(endpoints[0]?.url))).status).toBe(503);
      await expect(instances.get("deleted")).rejects.toMatchObject({ code: "instance_deleted" });
      expect(bystander.exitCode ?? bystander.signalCode).toBe(null);
    } finally {
      bystander.kill("SIGKILL");
      await once(bystander, "exit");
    }
  });

  it("a crash of the daemon alone is none: what ended meanwhile stays down", async () => {
    const { instances } = aegis.client;
    const { id } = await aegis.boot({ command: FOREVER });
    await living?.kill9();
    for (const pid of processesOf(aegis.home, id)) signal(pid, "SIGKILL");
    await expect.poll(() => processesOf(aegis.home, id)).toEqual([]);
    await comeBack();
    expect(await instances.get(id)).toMatchObject({ state: "stopped" });
  });

  async function comeBack(): Promise<void> {
    const log = join(aegis.home, "data/aegisd.log");
    living = new CrashingDaemon({ home: aegis.home, env: aegis.env, bundle: bundle.file, log });
    await living.ready();
  }

  const runFolder = () => runFolderOf(homeKeyOf(aegis.home));

  function machineRecords(): Map<string, string> {
    const ids = readdirSync(runFolder()).filter((name) => name.startsWith("inst-"));
    return new Map(ids.map((id) => [id, readFileSync(join(runFolder(), id, "machine.json"), "utf8")]));
  }

  /** A record, a pid file and a socket of the boot before, whose pid another process has by now. */
  function leaveStale(record: string, of: { pid: number; startTime?: string; hostBootId?: string }): void {
    const stale = { ...(JSON.parse(record) as { instanceId: string }), ...of };
    const place = join(runFolder(), stale.instanceId);
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, "machine.json"), JSON.stringify(stale));
    writeFileSync(join(place, "harness.sock"), "");
    writeFileSync(join(aegis.home, "data/aegisd.pid"), `${of.pid}\n`);
  }
});
