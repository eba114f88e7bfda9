import { describe, expect, it } from "vitest";
import type { Machine, MachineSpec } from "../../src/core/driver.ts";
import { type DriverUnderTest, TestedDriver } from "./driver-under-test.ts";
import { hibernationContract } from "./hibernation-contract.ts";
import { execIn, openControl, openStream } from "./harness-streams.ts";

/** What every backend promises, whatever it is made of. */
export function driverContract(name: string, makeDriver: () => Promise<DriverUnderTest>): void {
  hibernationContract(name, makeDriver);
  describe(`driver contract: ${name}`, () => {
    const tested = new TestedDriver("inst-contract", makeDriver);
    const { machines } = tested;
    const specOf = (over?: Partial<MachineSpec>): MachineSpec => tested.spec(over);
    const boot = (over?: Partial<MachineSpec>): Promise<Machine> => machines.boot(specOf(over));
    const end = (machine: Machine): Promise<void> => machines.end(machine);

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

    it("takes a connection straight to an open port, also from before a resume, and answers it then", async () => {
      const machine = await boot();
      expect(await machine.dialPort(7)).toBeNull();
      const control = await openControl(machine);
      await control.run(tested.echoServer(7));
      await expect.poll(() => machine.dialPort(7).then((stream) => stream?.destroy())).toBeDefined();
      await machine.pause();
      const dialled = machine.dialPort(7);
      expect(await machine.isPaused()).toBe(true);
      await machine.resume();
      const stream = await dialled;
      if (stream === null) throw new Error("the port is not open any more");
      const answers: string[] = [];
      stream.on("data", (chunk: Buffer) => answers.push(chunk.toString()));
      stream.write("anybody there?");
      await expect.poll(() => answers.join("")).toBe("anybody there?");
      stream.destroy();
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
      await tested.driver.discard(spec.instanceId);
      await tested.driver.discard(spec.instanceId);
    });

    it("refuses a second machine for the same instance and leaves the first alone", async () => {
      const machine = await boot();
      await expect(tested.driver.create(specOf({ instanceId: machine.instanceId, boot: 2 }))).rejects.toMatchObject({
        code: "driver_failed",
      });
      expect((await execIn(machine, ["echo", "still here"])).stdout).toBe("still here\n");
      await end(machine);
    });

    it("leaves nothing behind of an aborted create", async () => {
      const spec = specOf();
      const early = AbortSignal.abort(new Error("too late"));
      await expect(tested.driver.create(spec, early)).rejects.toThrow("too late");
      const abort = new AbortController();
      const created = tested.driver.create(spec, abort.signal);
      abort.abort(new Error("changed my mind"));
      await expect(created).rejects.toThrow("changed my mind");
      const machine = await boot(spec);
      await end(machine);
    });

    it("boots several at once", async () => {
      const several = await Promise.all([boot(), boot(), boot()]);
      const echoes = await Promise.all(several.map((machine) => execIn(machine, ["echo", machine.instanceId])));
      expect(echoes.map((echo) => echo.stdout.trim())).toEqual(several.map((machine) => machine.instanceId));
      await Promise.all(several.map(end));
    });

    it("counts what a machine uses", async () => {
      const machine = await boot();
      const stats = await machine.stats();
      expect(stats.processes).toBeGreaterThan(0);
      if (tested.driver.features.limitsMemory) expect(stats.memory_bytes).toBeGreaterThan(0);
      expect(await machine.ranOutOfMemory()).toBe(false);
      await end(machine);
    });

    it("lets machines live when it is closed, and a later driver adopts them", async () => {
      const running = await boot({ boot: 3 });
      const paused = await boot();
      const dead = await boot();
      await paused.pause();
      await tested.startAgain(() => dead.kill());
      const adopted = await machines.adopt();
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
