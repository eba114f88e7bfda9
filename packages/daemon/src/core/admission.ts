import { randomBytes } from "node:crypto";
import { AegisError } from "@aegis/protocol/errors";
import type { CreateInstance, SpawnInstance } from "@aegis/protocol/instance";
import type { Capabilities } from "@aegis/protocol/capability";
import { checkedGrant } from "./checked-grant.ts";
import type { EventLog } from "./event-log.ts";
import type { Family } from "./family.ts";
import type { Instance } from "./instance.ts";
import { newObservation } from "./instance-record.ts";
import type { InstanceRecord, InstanceSpec } from "./instance-record.ts";
import { toExposes } from "./instance-spec.ts";
import type { InstancesDeps } from "./instances.ts";
import { checkSecrets } from "./secret-env.ts";
import type { StoredInstance } from "./store.ts";

export interface AdmissionDeps extends Pick<InstancesDeps, "store" | "secrets" | "workspaces"> {
  events: EventLog;
  /** throws `disk_full` when there is no room for another instance */
  refuseWhenFull: () => void;
  family: Family<Instance>;
  /** all there are, by id; the new one is added */
  instances: Map<string, Instance>;
  make: (stored: StoredInstance) => Instance;
  /** @throws CapabilityRefusal when a child may not have so many */
  checkPorts: (instance: Instance, ports: number) => void;
  /** takes one back whose ports could not be opened */
  withdraw: (instance: Instance) => Promise<void>;
}

/** Lets new instances in: checked, written down, with their ports open, and not started yet. */
export class Admission {
  readonly #deps: AdmissionDeps;

  constructor(deps: AdmissionDeps) {
    this.#deps = deps;
  }

  /**
   * @param reserve runs in the transaction that writes the row: when it throws, there is none
   * @throws AegisError `handle_taken`, `invalid_request`, `invalid_path`, `secret_not_found`, `port_taken`, `disk_full`
   */
  async admit(
    body: CreateInstance | SpawnInstance,
    spec: InstanceSpec,
    parent: Instance | null,
    reserve: () => void,
  ): Promise<Instance> {
    const { secrets, refuseWhenFull, checkPorts, withdraw } = this.#deps;
    const { handle } = body;
    if (handle !== undefined && this.#isTaken(handle)) throw handleTaken(handle);
    refuseWhenFull();
    const exposes = toExposes(body);
    checkSecrets(spec, secrets);
    const record = newRecord(handle, spec, checkedGrant(body.capabilities), parent);
    this.checkWorkspace(record);
    const instance = this.#writeDown(record, reserve);
    // counted one by one: another process inside of it may already open some of its own
    const check = parent === null ? undefined : (ports: number) => checkPorts(instance, ports);
    try {
      for (const expose of exposes) await instance.endpoints.expose(expose, check);
    } catch (error) {
      await withdraw(instance);
      throw error;
    }
    return instance;
  }

  /** @throws AegisError `invalid_path` */
  checkWorkspace(record: InstanceRecord): void {
    const workspace = this.#deps.family.workspaceOf({ record });
    if (workspace !== null) this.#deps.workspaces.check(workspace);
  }

  #writeDown(record: InstanceRecord, reserve: () => void): Instance {
    const { store, instances, make, events } = this.#deps;
    const observation = newObservation(record.createdAt);
    store.transaction(() => {
      reserve();
      store.insertInstance(record, observation);
    });
    const instance = make({ record, observation, endpoints: [], leases: [], power: [] });
    instances.set(instance.id, instance);
    events.emit({
      type: "instance.created",
      instance_id: record.id,
      handle: record.handle,
      parent_id: record.parentId,
    });
    return instance;
  }

  #isTaken(handle: string): boolean {
    const { instances } = this.#deps;
    return instances.has(handle) || [...instances.values()].some((instance) => instance.handle === handle);
  }
}

function newRecord(
  handle: string | undefined,
  spec: InstanceSpec,
  grant: Capabilities,
  parent: Instance | null,
): InstanceRecord {
  const suffix = randomBytes(6).toString("hex");
  return {
    id: `inst-${suffix}`,
    handle: handle ?? `i-${suffix.slice(0, 8)}`,
    parentId: parent?.id ?? null,
    createdAt: new Date().toISOString(),
    spec,
    grant,
    enabled: true,
  };
}

export const handleTaken = (handle: string) =>
  new AegisError(
    "handle_taken",
    `${handle} exists and is not stopped. Choose another handle, or stop or delete that one.`,
  );
