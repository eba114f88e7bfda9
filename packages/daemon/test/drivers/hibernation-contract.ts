import { beforeEach, describe, expect, it } from "vitest";
import type { Machine, MachineSpec } from "../../src/core/driver.ts";
import { type DriverUnderTest, TestedDriver } from "./driver-under-test.ts";
import { execIn, openControl } from "./harness-streams.ts";

const KEY = new Uint8Array(32).fill(7);
const never = new AbortController().signal;

/** What a backend promises that can hibernate; of one that cannot, nothing is asked. */
export function hibernationContract(name: string, makeDriver: () => Promise<DriverUnderTest>): void {
  describe(`driver contract, hibernation: ${name}`, () => {
    const tested = new TestedDriver("inst-hibernation", makeDriver);
    const { machines } = tested;
    const specOf = (): MachineSpec => tested.spec();
    const boot = (spec: MachineSpec): Promise<Machine> => machines.boot(spec);
    const restore = (spec: MachineSpec, key = KEY): Promise<Machine> => machines.restore(spec, key);
    const end = (machine: Machine): Promise<void> => machines.end(machine);

    beforeEach(({ skip }) => skip(!tested.driver.features.hibernates, "this driver does not hibernate"));

    const hibernate = async (machine: Machine, signal = never): Promise<void> => {
      if (machine.hibernate === undefined) throw new Error("it says that it hibernates, and its machines cannot");
      await machine.hibernate(KEY, signal);
    };

    /** Boots a machine with a workload, and writes it down. @returns the workload's pid */
    const asleep = async (spec: MachineSpec): Promise<number> => {
      const machine = await boot(spec);
      const control = await openControl(machine);
      const { pid } = await control.run(["sleep", "600"]);
      await machine.pause();
      await hibernate(machine);
      await end(machine);
      return pid;
    };

    it("refuses a machine that is not paused, which goes on", async () => {
      const machine = await boot(specOf());
      await expect(hibernate(machine)).rejects.toMatchObject({ code: "driver_failed" });
      expect((await execIn(machine, ["echo", "still here"])).stdout).toBe("still here\n");
      await end(machine);
    });

    it("leaves a machine as it was when it is aborted", async () => {
      const machine = await boot(specOf());
      await machine.pause();
      await expect(hibernate(machine, AbortSignal.abort(new Error("not now")))).rejects.toThrow("not now");
      expect(await machine.isPaused()).toBe(true);
      await machine.resume();
      expect((await execIn(machine, ["echo", "still here"])).stdout).toBe("still here\n");
      await end(machine);
    });

    it("has written nothing when it was aborted on the way", async () => {
      const spec = specOf();
      const machine = await boot(spec);
      await machine.pause();
      const given = new AbortController();
      const written = hibernate(machine, given.signal);
      given.abort(new Error("not now"));
      await expect(written).rejects.toThrow("not now");
      expect(await machine.isPaused()).toBe(true);
      await end(machine);
      await expect(restore({ ...spec, boot: 2 })).rejects.toMatchObject({ code: "snapshot_unusable" });
      await tested.driver.discard(spec.instanceId);
    });

    it("ends the machine, which nobody reaches any more", async () => {
      const spec = specOf();
      const machine = await boot(spec);
      await machine.pause();
      await hibernate(machine);
      expect(await machine.exited).toEqual({ outOfMemory: false });
      await expect(machine.dial()).rejects.toMatchObject({ code: "guest_unreachable" });
      expect(await machine.isPaused()).toBe(false);
      await end(machine);
      expect(await tested.driver.adopt()).not.toContainEqual(expect.objectContaining({ instanceId: spec.instanceId }));
      await tested.driver.discard(spec.instanceId);
    });

    it("goes on with the same workload, as a boot of its own, once", async () => {
      const spec = specOf();
      const pid = await asleep(spec);
      const machine = await restore({ ...spec, boot: 2 });
      expect(machine).toMatchObject({ instanceId: spec.instanceId, boot: 2 });
      const control = await openControl(machine);
      expect(control.harness).toEqual({ state: "running", pid });
      control.close();
      expect((await execIn(machine, ["echo", "awake"])).stdout).toBe("awake\n");
      await end(machine);
      await expect(restore({ ...spec, boot: 3 })).rejects.toMatchObject({ code: "snapshot_unusable" });
      await tested.driver.discard(spec.instanceId);
    });

    it("hibernates again what it has taken up", async () => {
      const spec = specOf();
      const pid = await asleep(spec);
      const second = await restore({ ...spec, boot: 2 });
      await second.pause();
      await hibernate(second);
      await end(second);
      const third = await restore({ ...spec, boot: 3 });
      const control = await openControl(third);
      expect(control.harness).toEqual({ state: "running", pid });
      control.close();
      await end(third);
    });

    it("is of no use with another key, and used up by the attempt", async () => {
      const spec = specOf();
      await asleep(spec);
      await expect(restore({ ...spec, boot: 2 }, new Uint8Array(32).fill(8))).rejects.toMatchObject({
        code: "snapshot_unusable",
      });
      await expect(restore({ ...spec, boot: 3 })).rejects.toMatchObject({ code: "snapshot_unusable" });
      const machine = await boot({ ...spec, boot: 4 });
      expect((await execIn(machine, ["echo", "cold"])).stdout).toBe("cold\n");
      await end(machine);
    });

    it.each(["dropSnapshot", "discard"] as const)("is gone after %s, once and again", async (drop) => {
      const spec = specOf();
      await asleep(spec);
      await tested.driver[drop]?.(spec.instanceId);
      await tested.driver[drop]?.(spec.instanceId);
      await expect(restore({ ...spec, boot: 2 })).rejects.toMatchObject({ code: "snapshot_unusable" });
    });

    it("is taken up by a later driver", async () => {
      const spec = specOf();
      const pid = await asleep(spec);
      await tested.startAgain();
      expect(await tested.driver.adopt()).toEqual([]);
      const machine = await restore({ ...spec, boot: 2 });
      const control = await openControl(machine);
      expect(control.harness).toEqual({ state: "running", pid });
      control.close();
      await end(machine);
      await tested.driver.discard(spec.instanceId);
    });
  });
}
