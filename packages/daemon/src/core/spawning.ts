import type { Capabilities } from "@aegis/protocol/capability";
import type { Endpoint, ExposeRequest, SpawnInstance } from "@aegis/protocol/instance";
import { checkChildren, checkExposedPorts, checkSpawn } from "./capabilities.ts";
import { checkedGrant } from "./checked-grant.ts";
import type { Family } from "./family.ts";
import type { Instance } from "./instance.ts";
import { toExposes, toSpec } from "./instance-spec.ts";
import type { SpecDefaults } from "./instance-spec.ts";
import type { InstanceSpec } from "./instance-record.ts";
import type { RefusalLog } from "./refusal-log.ts";
import { childDefaults, handedDown, refusePublicPort } from "./spawn-limits.ts";
import type { Store } from "./store.ts";
import { amountsOf, checkBudget, leftOf, smallerBudget, treeBudget } from "./tree-budget.ts";
import type { TreeAmounts } from "./tree-budget.ts";

export interface SpawningParts {
  family: Family<Instance>;
  store: Pick<Store, "usedBelow">;
  refusals: RefusalLog;
  defaults: SpecDefaults;
  /** `reserve` runs in the transaction that writes the new row: when it throws, there is none */
  add: (body: SpawnInstance, spec: InstanceSpec, parent: Instance, reserve: () => void) => Promise<Instance>;
}

/** What an instance may still do. */
export interface Rights {
  /** its grant, as far as the grants above it go */
  capabilities: Capabilities;
  /** children that it may still have */
  children: number;
  /** of its own budget and those above it, whichever is the tightest */
  left: TreeAmounts;
}

/** What instances do to their family from inside, checked against what they were granted. */
export class Spawning {
  readonly #parts: SpawningParts;

  constructor(parts: SpawningParts) {
    this.#parts = parts;
  }

  rightsOf(instance: Instance): Rights {
    const { family, store } = this.#parts;
    const capabilities = family.rightsOf(instance);
    const { children } = store.usedBelow(instance.id);
    return {
      capabilities,
      children: Math.max((capabilities.max_children ?? 0) - children, 0),
      left: this.#left(instance),
    };
  }

  /** @throws CapabilityRefusal, and what {@link toSpec} throws */
  async spawn(parent: Instance, body: SpawnInstance): Promise<Instance> {
    try {
      return await this.#spawn(parent, body);
    } catch (error) {
      // here and not where it was refused: that may be a transaction, which takes its events back with it
      this.#parts.refusals.note(parent.id, "spawn", error);
      throw error;
    }
  }

  async #spawn(parent: Instance, body: SpawnInstance): Promise<Instance> {
    const { add, defaults, family, store } = this.#parts;
    const capabilities = checkedGrant(body.capabilities);
    const exposes = toExposes(body);
    const asked = { ...childDefaults(family.rightsOf(parent), this.#left(parent)), ...body };
    const spec = toSpec(asked, handedDown(parent.record.spec, body.bindings ?? []), defaults);
    checkSpawn(family.rightsOf(parent), { spec, capabilities, exposedPorts: exposes.length });
    refusePublicPort(exposes);
    return add(body, spec, parent, () => {
      checkChildren(family.rightsOf(parent), store.usedBelow(parent.id).children);
      checkBudget(this.#left(parent), amountsOf(spec));
    });
  }

  /** Opens a port because a process inside asked; counted against the grant that the instance lives under. */
  async expose(instance: Instance, request: ExposeRequest): Promise<Endpoint> {
    try {
      return await instance.endpoints.expose(request, (ports) => {
        this.checkPorts(instance, ports);
        refusePublicPort([request]);
      });
    } catch (error) {
      this.#parts.refusals.note(instance.id, "expose", error);
      throw error;
    }
  }

  /** @throws CapabilityRefusal when the instance may not have so many */
  checkPorts(instance: Instance, ports: number): void {
    checkExposedPorts(this.#parts.family.limitsOn(instance) ?? instance.record.grant, ports);
  }

  /** A new instance counts against the budget of each one above it. */
  #left(instance: Instance): TreeAmounts {
    const { family, store } = this.#parts;
    return [instance, ...family.ancestorsOf(instance)]
      .map((one) => leftOf(treeBudget(family.rightsOf(one)), store.usedBelow(one.id)))
      .reduce(smallerBudget);
  }
}
