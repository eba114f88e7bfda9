import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Driver, Machine, MachineSpec } from "../../src/core/driver.ts";
import { hibernationContract } from "./hibernation-contract.ts";
import { execIn, openControl, openStream } from "./harness-streams.ts";

export interface DriverUnderTest {
  driver: Driver;
  /** fields of the spec that the backend wants otherwise, such as a real root file system */
  spec?: Partial<MachineSpec>;
  /** a driver as a new daemon on the same home would make it; the first one is closed by then */
  again(): Promise<Driver>;
  cleanUp(): Promise<void>;
}

const contractSpec = (over: Partial<MachineSpec>, { spec }: DriverUnderTest): MachineSpec => ({
  instanceId: "inst-contract",
  boot: 1,
  hostname: "contract",
  image: { digest: "sha256:0" },
  rootfs: "/nonexistent",
  user: "",
  memoryMb: 128,
  diskMb: 1024,
  vcpus: 1,
  readOnlyRoot: false,
  network: { mode: "open" },
  workspace: null,
  ...spec,
  ...over,
});

/** What every backend promises, whatever it is made of. */
export function driverContract(name: string, makeDriver: () => Promise<DriverUnderTest>): void {
  hibernationContract(name, makeDriver, contractSpec);
  describe(`driver contract: ${name}`, () => {
    let tested: DriverUnderTest;
    let driver: Driver;
    let instances = 0;
    const live = new Set<Machine>();

    beforeAll(async () => {
      tested = await makeDriver();
      driver = tested.driver;
      await driver.start();
    });

    afterAll(async () => {
      for (const machine of live) {
        await machine.kill();
        await machine.remove();
        await driver.discard(machine.instanceId);
      }
      await driver.close();
      await tested.cleanUp();
    });

    const specOf = (over: Partial<MachineSpec> = {}): MachineSpec =>
      contractSpec({ instanceId: `inst-contract-${++instances}`, ...over }, tested);

    const boot = async (over: Partial<MachineSpec> = {}): Promise<Machine> => {
      const machine = await driver.create(specOf(over));
      live.add(machine);
      return machine;
    };

    const end = async (machine: Machine): Promise<void> => {
      await machine.kill();
      await machine.remove();
      live.delete(machine);
    };

    it("boots up to a harness that answers and knows its instance and boot", async () => {
      const machine = await boot({ boot: 7 });
      expect(machine.boot).toBe(7);
      const control = await openControl(machine);
      expect(control.harness).toEqual({ state: "idle" });
      control.close();
      await end(machine);
    });

    it("runs a command with output, input and exit code", async () => {
      const machine = await boot();
      expect(await execIn(machine, ["echo", "a", "b"])).toMatchObject({ stdout: "a b\n", exit: { code: 0 } });
      expect(await execIn(machine, ["cat"], { stdin: "typed\n" })).toMatchObject({ stdout: "typed\n" });
      expect((await execIn(machine, ["false"])).exit.code).toBe(1);
      await end(machine);
    });

    it("says so when a stream names something that is not there", async () => {
      const machine = await boot();
      const missing = { exec_id: "x", command: ["no-such-command"], env: {}, cwd: null, user: null, tty: null };
      expect((await openStream(machine, { kind: "exec", ...missing })).reply).toMatchObject({
        code: "command_not_found",
      });
      expect((await openStream(machine, { kind: "port", port: 9 })).reply).toMatchObject({
        code: "connection_refused",
      });
      await end(machine);
    });

    it("carries several streams side by side", async () => {
      const machine = await boot();
      const results = await Promise.all([1, 2, 3, 4].map((number) => execIn(machine, ["echo", String(number)])));
      expect(results.map((result) => result.stdout)).toEqual(["1\n", "2\n", "3\n", "4\n"]);
      await end(machine);
    });

    it("keeps silent while paused and answers after the resume", async () => {
      const machine = await boot();
      await machine.pause();
      expect(await machine.isPaused()).toBe(true);
      let answered = false;
      const answer = execIn(machine, ["echo", "awake"]).then((result) => {
        answered = true;
        return result;
      });
      await machine.pause();
      expect(answered).toBe(false);
      await machine.resume();
      await machine.resume();
      expect(await machine.isPaused()).toBe(false);
      expect((await answer).stdout).toBe("awake\n");
      await end(machine);
    });

    it("kills a running and a paused machine, once and again", async () => {
      const running = await boot();
      const paused = await boot();
      await paused.pause();
      await Promise.all([running.kill(), running.kill(), paused.kill()]);
      expect(await running.exited).toEqual({ outOfMemory: false });
      expect(await paused.exited).toEqual({ outOfMemory: false });
      expect(await paused.isPaused()).toBe(false);
      await running.kill();
      for (const machine of [running, paused]) await end(machine);
    });

    it("tells when the machine ends by itself", async () => {
      const machine = await boot();
      const control = await openControl(machine);
      await control.run(["sleep", "600"]);
      await control.shutdown();
      expect(await machine.exited).toEqual({ outOfMemory: false });
      await end(machine);
    });

    it("does not dial what has ended", async () => {
      const machine = await boot();
      await machine.kill();
      await expect(machine.dial()).rejects.toMatchObject({ code: "guest_unreachable" });
      await machine.remove();
      await expect(machine.dial()).rejects.toMatchObject({ code: "guest_unreachable" });
      await end(machine);
    });

    it("gives up a dial that is aborted", async () => {
      const machine = await boot();
      await expect(machine.dial(AbortSignal.abort(new Error("changed my mind")))).rejects.toThrow("changed my mind");
      await end(machine);
    });

    it("removes twice, and boots the instance again afterwards", async () => {
      const spec = specOf();
      for (const generation of [1, 2]) {
        const machine = await boot({ ...spec, boot: generation });
        expect(machine.boot).toBe(generation);
        await end(machine);
        await machine.remove();
      }
      await driver.discard(spec.instanceId);
      await driver.discard(spec.instanceId);
    });

    it("refuses a second machine for the same instance and leaves the first alone", async () => {
      const machine = await boot();
      await expect(driver.create(specOf({ instanceId: machine.instanceId, boot: 2 }))).rejects.toMatchObject({
        code: "driver_failed",
      });
      expect((await execIn(machine, ["echo", "still here"])).stdout).toBe("still here\n");
      await end(machine);
    });

    it("leaves nothing behind of an aborted create", async () => {
      const spec = specOf();
      const early = AbortSignal.abort(new Error("too late"));
      await expect(driver.create(spec, early)).rejects.toThrow("too late");
      const abort = new AbortController();
      const created = driver.create(spec, abort.signal);
      abort.abort(new Error("changed my mind"));
      await expect(created).rejects.toThrow("changed my mind");
      const machine = await boot(spec);
      await end(machine);
    });

    it("boots several at once", async () => {
      const machines = await Promise.all([boot(), boot(), boot()]);
      const echoes = await Promise.all(machines.map((machine) => execIn(machine, ["echo", machine.instanceId])));
      expect(echoes.map((echo) => echo.stdout.trim())).toEqual(machines.map((machine) => machine.instanceId));
      await Promise.all(machines.map(end));
    });

    it("counts what a machine uses", async () => {
      const machine = await boot();
      const stats = await machine.stats();
      expect(stats.processes).toBeGreaterThan(0);
      if (driver.features.limitsMemory) expect(stats.memory_bytes).toBeGreaterThan(0);
      expect(await machine.ranOutOfMemory()).toBe(false);
      await end(machine);
    });

    it("lets machines live when it is closed, and a later driver adopts them", async () => {
      const running = await boot({ boot: 3 });
      const paused = await boot();
      const dead = await boot();
      await paused.pause();
      live.clear();
      await driver.close();
      await dead.kill();
      driver = await tested.again();
      await driver.start();
      const adopted = await driver.adopt();
      adopted.forEach((machine) => live.add(machine));
      const byId = new Map(adopted.map((machine) => [machine.instanceId, machine]));
      expect([...byId.keys()].toSorted()).toEqual([running.instanceId, paused.instanceId].toSorted());
      const [again, still] = [byId.get(running.instanceId), byId.get(paused.instanceId)];
      if (again === undefined || still === undefined) throw new Error("a machine was not adopted");
      expect(again.boot).toBe(3);
      expect((await execIn(again, ["echo", "adopted"])).stdout).toBe("adopted\n");
      expect(await still.isPaused()).toBe(true);
      await still.resume();
      expect((await execIn(still, ["echo", "awake"])).stdout).toBe("awake\n");
      await Promise.all([end(again), end(still)]);
    });
  });
}
