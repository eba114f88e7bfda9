import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Machine, MachineSpec } from "../../../packages/daemon/src/core/driver.ts";
import type { MicrovmDriver } from "../../../packages/daemon/src/drivers/microvm/microvm-driver.ts";
import { LiveMachines, sh } from "../../../packages/daemon/test/drivers/live-machines.ts";
import { DriverHost } from "../driver-host.ts";
import type { DeathPoint, Doom } from "./doomed-driver.ts";

const KEY = new Uint8Array(32).fill(9);
const CHILD = fileURLToPath(new URL("doomed-driver.ts", import.meta.url));

/** One machine goes through all of them, with what it has in memory: each leaves it where the next one takes it up. */
describe("a daemon that dies between two steps of a hibernation or a restore", () => {
  const host = new DriverHost();
  const machines = new LiveMachines(() => driver);
  let driver: MicrovmDriver;
  let spec: MachineSpec;

  beforeAll(async () => {
    spec = host.spec();
    await comeBack();
    const machine = await machines.boot(spec);
    expect(await sh(machine, "echo kept > /dev/shm/kept; cat /dev/shm/kept")).toBe("kept");
  });

  afterAll(async () => {
    await machines.discardAll();
    await driver?.discard(spec.instanceId);
    await driver?.close();
    const left = host.leftovers();
    host.remove();
    expect(left).toEqual([]);
  });

  async function comeBack(): Promise<Machine | undefined> {
    driver = host.microvm();
    await driver.start();
    const [machine] = await machines.adopt();
    // as the daemon does: it lives, so what was written of it is good for nothing
    if (machine !== undefined) await driver.dropSnapshot(spec.instanceId);
    return machine;
  }

  /** @returns the machine that is left, if one is */
  async function die(point: DeathPoint): Promise<Machine | undefined> {
    await driver.close();
    spec = { ...spec, boot: spec.boot + 1 };
    const doom: Doom = { options: host.microvmOptions, spec, key: Buffer.from(KEY).toString("hex"), point };
    const child = spawn(process.execPath, ["--conditions=@aegis/source", CHILD, JSON.stringify(doom)], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const [said, [, signal]] = await Promise.all([text(child.stderr), once(child, "exit")]);
    expect(signal, said).toBe("SIGKILL");
    return comeBack();
  }

  const expectKept = async (machine: Machine | undefined): Promise<void> => {
    if (machine === undefined) throw new Error("no machine is left");
    expect(await machine.isPaused()).toBe(true);
    await machine.resume();
    expect(await sh(machine, "cat /dev/shm/kept")).toBe("kept");
  };

  it.each(["its memory is written", "all of it is written"] as const)("leaves a paused machine: %s", async (point) => {
    await expectKept(await die(point));
  });

  it.each(["QEMU has ended", "the memory is opened"] as const)("leaves what was written: %s", async (point) => {
    expect(await die(point)).toBeUndefined();
  });

  it("leaves a machine as it was written down: the memory is used up", async () => {
    await expectKept(await die("the memory is used up"));
  });

  it("leaves a machine that runs: the machine goes on", async () => {
    expect(await die("QEMU has ended")).toBeUndefined();
    const machine = await die("the machine goes on");
    if (machine === undefined) throw new Error("no machine is left");
    expect(await machine.isPaused()).toBe(false);
    expect(await sh(machine, "cat /dev/shm/kept")).toBe("kept");
  });
});
