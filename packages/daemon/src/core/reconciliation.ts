import { AegisError } from "@aegis/protocol/errors";
import type { Driver, Machine } from "./driver.ts";
import type { Instance } from "./instance.ts";
import type { Orphans } from "./orphans.ts";
import { unwatchedBoot } from "./unwatched-boot.ts";

export interface ReconciliationParts {
  instances: ReadonlyMap<string, Instance>;
  driver: Pick<Driver, "adopt">;
  orphans: Orphans;
  /** the store never had an instance in it */
  isNew: boolean;
  onDown: (instance: Instance) => void;
  isClosed: () => boolean;
  warn: (message: string) => void;
}

const PARALLEL_STARTS = 3;

/** After a start of the daemon: what is wanted and what there is are brought together. Deletes no record. */
export class Reconciliation {
  readonly #parts: ReconciliationParts;

  constructor(parts: ReconciliationParts) {
    this.#parts = parts;
  }

  /** Takes up the machines that still run, and ends those of nobody. @returns what is to be started again */
  async settle(): Promise<Instance[]> {
    const { driver, instances, isNew, onDown, orphans } = this.#parts;
    const machines = await driver.adopt();
    if (machines.length > 0 && isNew) throw stateLost(machines.length);
    const adopted = machines.filter((machine) => this.#takeUp(machine));
    await Promise.all(machines.filter((machine) => !adopted.includes(machine)).map((machine) => this.#end(machine)));
    const taken = new Set(adopted.map(({ instanceId }) => instanceId));
    const gone = [...instances.values()].filter(({ id }) => !taken.has(id));
    const wasUp = gone.filter((instance) => !instance.down);
    // those whose end the last daemon did not live to see through
    const unfinished = gone.filter((instance) => instance.endsBelow);
    const again = gone.filter((instance) => instance.settleWithoutMachine());
    const ended = [...new Set([...wasUp.filter(({ state }) => state !== "hibernated"), ...unfinished])];
    for (const instance of ended) onDown(instance);
    return again.filter((instance) => !orphans.areBelow(instance, ended));
  }

  /** Not waited for: whoever comes meanwhile queues behind it, and a harness that hangs holds up nobody else. */
  #takeUp(machine: Machine): boolean {
    const instance = this.#parts.instances.get(machine.instanceId);
    if (instance?.boot !== machine.boot) return false;
    instance.adopt(machine).catch((error: unknown) => this.#parts.warn(`${instance.id}: ${String(error)}`));
    return true;
  }

  /** A machine that nobody wants. */
  async #end(machine: Machine): Promise<void> {
    try {
      await machine.kill();
      await machine.remove();
    } catch (error) {
      this.#parts.warn(
        `a machine of ${machine.instanceId} that belongs to nobody could not be removed: ${String(error)}`,
      );
    }
  }

  /**
   * Starts what ran before the host went down; a few at a time, so that all of them do not take the machine's breath
   * away. Failures of a boot are in the instance's state.
   */
  async startAll(instances: readonly Instance[]): Promise<void> {
    const waiting = [...instances];
    const startSome = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        if (next.state !== "starting" || next.removed || this.#parts.isClosed()) continue;
        await next
          .start("it ran before the host or the daemon went down")
          .catch(unwatchedBoot(next.id, this.#parts.warn));
      }
    };
    await Promise.all(Array.from({ length: PARALLEL_STARTS }, startSome));
  }
}

/** Every machine was written down before it was made. */
const stateLost = (machines: number) =>
  new AegisError(
    "internal",
    `The state file data/aegis.db knows of no instance, but ${machines} of this home run: it was lost. Nothing was ended or deleted: restore it from a backup, or restart the host to start empty.`,
  );
