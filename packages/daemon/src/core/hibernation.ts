import { AegisError, messageOf } from "@aegis/protocol/errors";
import type { ErrorCode } from "@aegis/protocol/errors";
import type { Driver, Machine } from "./driver.ts";
import type { InstanceJournal } from "./instance-journal.ts";

export interface HibernationDeps {
  driver: Pick<Driver, "name" | "features" | "restore" | "dropSnapshot">;
  journal: InstanceJournal;
  snapshotKey: () => Uint8Array;
  warn: (message: string) => void;
}

/** `interrupted`: somebody wanted it awake. In both bad cases the machine is paused as before. */
export type Hibernated = { done: true } | { done: false; interrupted: boolean; why: string; code: ErrorCode };

/**
 * What one instance has of its memory on disk. That there may be something is written down before there is, and until it
 * has been used or dropped: so whoever is killed in between leaves a machine, or what it was, and the next daemon knows.
 */
export class Hibernation {
  readonly #deps: HibernationDeps;
  #abort = new AbortController();

  constructor(deps: HibernationDeps) {
    this.#deps = deps;
  }

  /** @throws AegisError `driver_failed` where the backend has no means */
  check(): void {
    const { features, name, restore } = this.#deps.driver;
    if (features.hibernates && restore !== undefined) return;
    throw new AegisError(
      "driver_failed",
      `The ${name} driver cannot hibernate. Pause or stop the instance, or start aegisd with a driver that can: aegis doctor says which.`,
    );
  }

  get possible(): boolean {
    return this.#deps.driver.features.hibernates && this.#deps.driver.restore !== undefined;
  }

  /** The machine must be paused; nothing of it is left when it is done. */
  async write(machine: Machine): Promise<Hibernated> {
    const { driver, journal, snapshotKey } = this.#deps;
    const { signal } = (this.#abort = new AbortController());
    try {
      // whatever is left of an earlier one must never be taken for this one
      await driver.dropSnapshot?.(machine.instanceId);
      journal.commit({ snapshot: true });
      if (machine.hibernate === undefined) throw new Error("its machine cannot be written down");
      await machine.hibernate(snapshotKey(), signal);
      return { done: true };
    } catch (error) {
      await this.drop();
      const why = messageOf(error);
      const code = error instanceof AegisError ? error.code : "driver_failed";
      return { done: false, interrupted: signal.aborted, why, code };
    }
  }

  /** May be called at any time: what is being written comes to nothing soon, and the machine stays as it was. */
  interrupt(): void {
    this.#abort.abort();
  }

  /** Nothing is taken up any more. What cannot be removed now is removed before the next is written, or with the instance. */
  async drop(): Promise<void> {
    const { driver, journal, warn } = this.#deps;
    if (!journal.seen.snapshot) return;
    const { id } = journal.record;
    await driver
      .dropSnapshot?.(id)
      .catch((error: unknown) => warn(`the memory of ${id} on disk could not be removed: ${String(error)}`));
    journal.note({ snapshot: false });
  }
}
