import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { notInVm } from "../driver-host.ts";
import { cgroupFile } from "../cgroup-file.ts";

const FOREVER = ["sleep", "infinity"];
/** collects an endless line */
const HOG = "tail /dev/zero";

describe("memory", () => {
  let aegis: Aegis;
  let neighbour: string;
  beforeAll(async () => {
    aegis = await startAegis();
    const script = "i=0; while :; do i=$((i+1)); echo alive $i; sleep 0.1; done";
    const command = ["sh", "-c", script];
    // what it does may be too little to keep it awake
    neighbour = (await aegis.boot({ command, memory_mb: 64, pause_after_idle_s: null })).id;
  });
  afterAll(() => aegis.stop());

  describe("on the host", () => {
    beforeEach(notInVm("the limits of what runs in a virtual machine are its own kernel's"));

    it("is limited in the control group", async () => {
      const { id } = await aegis.boot({ command: FOREVER, memory_mb: 96 });
      const limit = cgroupFile(aegis.home, id, { v2: "memory.max", v1: "memory.limit_in_bytes" });
      expect(Number(limit)).toBe(96 * 1024 * 1024);
    });
  });

  it("that a workload takes too much of ends it, and the instance says why", async () => {
    const { id } = await aegis.boot({ command: ["sh", "-c", HOG], memory_mb: 64 });
    const failed = await aegis.reaches(id, "failed");
    expect(failed).toMatchObject({ failure: "out of memory", exit_code: 137 });
    expect((await aegis.logs(id)).at(-1)?.line).toMatch(/out of memory/);
  });

  it("that a workload's child takes too much of is not the workload's end", async () => {
    const { id } = await aegis.boot({ command: ["sh", "-c", `${HOG}; echo survived; sleep infinity`], memory_mb: 64 });
    await aegis.untilLogged(id, "survived");
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running" });
    expect(await aegis.sh(id, "echo answers")).toBe("answers");
  });

  it("that an exec takes too much of ends that one, is noted, and the workload goes on", async () => {
    const { id } = await aegis.boot({ command: FOREVER, memory_mb: 64 });
    expect((await aegis.exec(id, ["sh", "-c", HOG])).code).toBe(137);
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running", failure: "out of memory" });
    expect(await aegis.sh(id, "echo answers")).toBe("answers");
    await aegis.client.instances.restart(id);
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running", failure: null });
  });

  it("also counts files in /dev/shm, which cannot fill it", async () => {
    const { id } = await aegis.boot({ command: FOREVER, memory_mb: 64 });
    const { stderr } = await aegis.exec(id, ["dd", "if=/dev/zero", "of=/dev/shm/x", "bs=1M", "count=200"]);
    expect(stderr).toContain("No space left");
    expect(await aegis.sh(id, "echo answers")).toBe("answers");
  });

  it("that ran out starts again after a start", async () => {
    const script = "test -e /root/once && sleep infinity; touch /root/once; tail /dev/zero";
    const { id } = await aegis.boot({ command: ["sh", "-c", script], memory_mb: 64 });
    await aegis.reaches(id, "failed");
    await aegis.client.instances.start(id);
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running", failure: null });
  });

  it("of a neighbour is its own: it never stopped", async () => {
    expect(await aegis.client.instances.get(neighbour)).toMatchObject({ state: "running", failure: null });
    const ticks = (await aegis.logs(neighbour)).map(({ line }) => Number(line.split(" ")[1]));
    expect(ticks).toEqual(ticks.map((_, n) => n + 1));
  });
});
