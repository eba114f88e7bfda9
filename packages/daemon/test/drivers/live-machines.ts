import type { Driver, Machine, MachineSpec } from "../../src/core/driver.ts";
import { execIn } from "./harness-streams.ts";

/** The machines that a suite has running, so that none of them is left at its end. */
export class LiveMachines {
  readonly #driver: () => Driver;
  readonly #live = new Set<Machine>();

  constructor(driver: () => Driver) {
    this.#driver = driver;
  }

  async boot(spec: MachineSpec): Promise<Machine> {
    return this.keep(await this.#driver().create(spec));
  }

  async restore(spec: MachineSpec, key: Uint8Array): Promise<Machine> {
    const driver = this.#driver();
    if (driver.restore === undefined) throw new Error("it says that it hibernates, and cannot restore");
    return this.keep(await driver.restore(spec, key));
  }

  /** @returns what a driver that was started later finds */
  async adopt(): Promise<Machine[]> {
    this.#live.clear();
    const machines = await this.#driver().adopt();
    for (const machine of machines) this.keep(machine);
    return machines;
  }

  keep(machine: Machine): Machine {
    this.#live.add(machine);
    return machine;
  }

  async end(machine: Machine): Promise<void> {
    await machine.kill();
    await machine.remove();
    this.#live.delete(machine);
  }

  /** Of their instances nothing is left either. */
  async discardAll(): Promise<void> {
    for (const machine of this.#live) {
      await this.end(machine);
      await this.#driver().discard(machine.instanceId);
    }
  }
}

/** What a shell command in a machine prints, whatever comes of it. */
export async function sh(machine: Machine, script: string): Promise<string> {
  const { stdout, stderr } = await execIn(machine, ["sh", "-c", script]);
  return (stdout + stderr).trim();
}
