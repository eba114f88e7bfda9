import type { Capabilities } from "@aegis/protocol/capability";
import { AegisError } from "@aegis/protocol/errors";
import { checkDelegation, checkSpec } from "./capabilities.ts";
import { CapabilityRefusal } from "./capability-refusal.ts";
import type { Family } from "./family.ts";
import type { Instance } from "./instance.ts";
import type { InstanceSpec } from "./instance-record.ts";
import type { RefusalLog, RefusedAct } from "./refusal-log.ts";

/** Keeps what instances are in step with what the grants above them say today. */
export class Grants {
  readonly #family: Family<Instance>;
  readonly #refusals: RefusalLog;

  constructor(family: Family<Instance>, refusals: RefusalLog) {
    this.#family = family;
    this.#refusals = refusals;
  }

  /**
   * Puts another grant in the place of the instance's. What runs below and is no longer covered by it is stopped, and
   * starts again only once it is.
   * @throws CapabilityRefusal for more than its parent may give
   */
  async replace(instance: Instance, grant: Capabilities): Promise<void> {
    this.checkGrant(instance, grant, "grant");
    instance.setGrant(grant);
    await this.enforceBelow(instance);
  }

  /** @throws CapabilityRefusal for more than its parent may give */
  checkGrant(instance: Instance, grant: Capabilities, what: RefusedAct): void {
    const limits = this.#family.limitsOn(instance);
    if (limits !== null) this.#refusals.guard(instance.id, what, () => checkDelegation(limits, grant));
  }

  /** @throws CapabilityRefusal when the grants above it do not cover such an instance */
  checkSpec(instance: Instance, spec: InstanceSpec, what: RefusedAct): void {
    const limits = this.#family.limitsOn(instance);
    if (limits !== null) this.#refusals.guard(instance.id, what, () => checkSpec(limits, spec));
  }

  /** Ends what runs below and has no right to any more. */
  async enforceBelow(instance: Instance): Promise<void> {
    await Promise.all(this.#family.below(instance).map((one) => this.#enforce(one)));
  }

  async #enforce(instance: Instance): Promise<void> {
    const limits = this.#family.limitsOn(instance) ?? {};
    const surplus = instance.endpoints.list().slice(limits.max_expose_ports ?? 0);
    for (const { guest_port } of surplus) await instance.endpoints.unexpose(guest_port).catch(ignoreGone);
    try {
      checkSpec(limits, instance.record.spec);
    } catch (error) {
      if (!(error instanceof CapabilityRefusal)) throw error;
      if (!instance.atRest) await instance.stop(`a grant above it was changed: ${error.message}`);
    }
  }
}

function ignoreGone(error: unknown): void {
  if (!(error instanceof AegisError) || error.code !== "endpoint_not_found") throw error;
}
