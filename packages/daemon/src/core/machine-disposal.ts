import type { Machine } from "./driver.ts";

/**
 * Ends the machines of one instance. One that could not be ended or removed is kept in mind and tried again, before the
 * instance gets another or is deleted.
 */
export class MachineDisposal {
  readonly #warn: (message: string) => void;
  #left: Machine | null = null;

  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }

  /** @throws what the driver throws when the machine may still be alive; remains of a dead one are only a warning */
  async end(machine: Machine): Promise<void> {
    this.#left = machine;
    await this.kill();
    try {
      await this.clear();
    } catch (error) {
      this.#warn(`remains of ${machine.instanceId}, boot ${machine.boot}, will be removed later: ${String(error)}`);
    }
  }

  /** Nothing is alive afterwards. @throws what the driver throws when that is not so */
  async kill(): Promise<void> {
    await this.#left?.kill();
  }

  /** Nothing is left afterwards. @throws what the driver throws when that is not so */
  async clear(): Promise<void> {
    const machine = this.#left;
    if (machine === null) return;
    await machine.kill();
    await machine.remove();
    this.#left = null;
  }
}
