import { AegisError } from "@aegis/protocol/errors";
import type { Family } from "./family.ts";
import type { Grants } from "./grants.ts";
import type { FamilyRules, Instance } from "./instance.ts";
import type { Orphans } from "./orphans.ts";

export interface HouseRulesParts {
  family: Family<Instance>;
  orphans: Orphans;
  grants: Grants;
  warn: (message: string) => void;
}

/** What those above an instance have to say about its life: one place for every start, and for every end. */
export class HouseRules implements FamilyRules {
  readonly #parts: HouseRulesParts;

  constructor(parts: HouseRulesParts) {
    this.#parts = parts;
  }

  checkStart(instance: Instance): void {
    if (this.isOver(instance)) throw lifetimeOver(instance);
    this.#parts.orphans.checkParents(instance);
    this.#parts.grants.checkSpec(instance, instance.record.spec, "start");
  }

  workspaceOf(instance: Instance): string | null {
    return this.#parts.family.workspaceOf(instance);
  }

  takesAlong(instance: Instance): boolean {
    return this.#parts.orphans.takenAlong(instance);
  }

  onDown(instance: Instance): void {
    const { orphans, warn } = this.#parts;
    orphans
      .endBelow(instance, "its parent ended")
      .then(() => instance.belowEnded())
      .catch((error: unknown) => warn(`what is below ${instance.id} could not be ended: ${String(error)}`));
  }

  expiryOf(instance: Instance): number | null {
    return this.#parts.family.expiryOf(instance);
  }

  /** Its lifetime is over, or that of one above it. */
  isOver(instance: Instance): boolean {
    const expiry = this.expiryOf(instance);
    return expiry !== null && Date.now() >= expiry;
  }
}

const lifetimeOver = ({ handle }: Instance) =>
  new AegisError(
    "wrong_state",
    `${handle} cannot start: its lifetime, or that of an instance above it, is over. Give it more with PATCH /v1/instances/${handle} {"lifetime_s": ...}, or delete it.`,
  );
