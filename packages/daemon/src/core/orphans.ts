import { AegisError } from "@aegis/protocol/errors";
import type { Family } from "./family.ts";
import type { Instance } from "./instance.ts";

/** Instances whose parent has ended: they end with it, on all levels below, unless its policy is to keep them. */
export class Orphans {
  readonly #family: Family<Instance>;

  constructor(family: Family<Instance>) {
    this.#family = family;
  }

  /** True when something below would end with the instance. */
  takenAlong(instance: Instance): boolean {
    return endsOthers(instance) && this.#family.below(instance).some((one) => !one.atRest);
  }

  /** Ends what must not outlive the instance. Idempotent. */
  async endBelow(instance: Instance, reason: string): Promise<void> {
    if (!endsOthers(instance)) return;
    const up = this.#family.below(instance).filter((one) => !one.atRest);
    await Promise.all(up.map((one) => one.stop(reason)));
  }

  /** @throws AegisError `wrong_state` when one above it that takes it along is disabled: nothing may wake that one either */
  checkParents(instance: Instance): void {
    const gone = this.#family.ancestorsOf(instance).find((one) => endsOthers(one) && !one.record.enabled);
    if (gone === undefined) return;
    throw new AegisError(
      "wrong_state",
      `${instance.handle} cannot start: it lives with its parent, and ${gone.handle} is disabled. Start that one first.`,
    );
  }

  /** True when one of `ended` takes it along. */
  areBelow(instance: Instance, ended: readonly Instance[]): boolean {
    return this.#family.ancestorsOf(instance).some((one) => endsOthers(one) && ended.includes(one));
  }
}

const endsOthers = ({ record }: Instance): boolean => record.spec.orphans === "stop";
