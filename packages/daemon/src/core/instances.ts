import { randomBytes } from "node:crypto";
import type { CreateInstance, ExposeRequest, InstanceState, SpawnInstance } from "@aegis/protocol/instance";
import type { Capabilities } from "@aegis/protocol/capability";
import { AegisError } from "@aegis/protocol/errors";
import { checkExposedPorts, checkSpawn } from "./capabilities.ts";
import type { Machine } from "./driver.ts";
import { claimsOf } from "./image-use.ts";
import { Instance } from "./instance.ts";
import type { InstanceDeps } from "./instance.ts";
import { newObservation } from "./instance-record.ts";
import type { InstanceRecord, InstanceSpec } from "./instance-record.ts";
import { toExposes, toSpec } from "./instance-spec.ts";
import type { SpecDefaults } from "./instance-spec.ts";
import { bindingSecrets, secretNames } from "./secret-env.ts";
import { clearRemains } from "./remains.ts";
import { childDefaults, handedDown, refuseHostPath, refusePublicPort } from "./spawn-limits.ts";
import { refuseUnknownBindings, refuseWiderNetwork } from "./spawn-limits.ts";

export interface InstancesOptions {
  defaults: SpecDefaults;
  /** throws `disk_full` when there is no room for another instance */
  refuseWhenFull: () => void;
}

/** How far what a next daemon finds may be behind, in ms. */
const SAVE_MS = 2000;
const PARALLEL_STARTS = 3;

/** Every instance of this daemon, and the rules that concern more than one of them. */
export class Instances {
  readonly #deps: InstanceDeps;
  readonly #defaults: SpecDefaults;
  readonly #refuseWhenFull: () => void;
  readonly #byId = new Map<string, Instance>();
  #saving: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(deps: InstanceDeps, options: InstancesOptions) {
    this.#deps = deps;
    this.#defaults = options.defaults;
    this.#refuseWhenFull = options.refuseWhenFull;
  }

  /** After a start of the daemon: takes up the machines that still run and the ports that were open. Deletes no record. */
  async reconcile(): Promise<void> {
    for (const stored of this.#deps.store.loadInstances()) {
      this.#byId.set(stored.record.id, new Instance(stored, this.#deps));
    }
    const { images, warn } = this.#deps;
    await images
      .keep(() => [this.#defaults.imageRef, ...this.list().flatMap(claimsOf)])
      .catch((error: unknown) => warn(`which images are in use could not be written down: ${String(error)}`));
    const machines = await this.#deps.driver.adopt();
    if (machines.length > 0 && this.#deps.store.isNew()) throw stateLost(machines.length);
    const adopted = new Set<string>();
    for (const machine of machines) {
      const instance = this.#byId.get(machine.instanceId);
      if (instance?.boot !== machine.boot) continue;
      adopted.add(instance.id);
      // Not waited for: whoever comes meanwhile queues behind it, and a harness that hangs holds up nobody else.
      this.#inBackground(instance, instance.adopt(machine));
    }
    await Promise.all(
      machines.filter(({ instanceId }) => !adopted.has(instanceId)).map((machine) => this.#end(machine)),
    );
    const gone = [...this.#byId.values()].filter(({ id }) => !adopted.has(id));
    const again = gone.filter((instance) => instance.settleWithoutMachine());
    await Promise.all([...this.#byId.values()].map((instance) => instance.endpoints.reopen()));
    void this.#startAll(again);
    void this.#clearRemains();
    this.#saving = setInterval(() => this.#save(), SAVE_MS).unref();
  }

  /** A machine that nobody wants. */
  async #end(machine: Machine): Promise<void> {
    try {
      await machine.kill();
      await machine.remove();
    } catch (error) {
      this.#deps.warn(
        `a machine of ${machine.instanceId} that belongs to nobody could not be removed: ${String(error)}`,
      );
    }
  }

  /** What ran before the host went down; a few at a time, so that all of them do not take the machine's breath away. */
  async #startAll(instances: Instance[]): Promise<void> {
    const waiting = [...instances];
    const startSome = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        if (next.state !== "starting" || next.removed || this.#closed) continue;
        await next.start("it ran before the host or the daemon went down").catch(this.#onBootError(next));
      }
    };
    await Promise.all(Array.from({ length: PARALLEL_STARTS }, startSome));
  }

  async #clearRemains(): Promise<void> {
    for (const id of this.#deps.store.remains()) await clearRemains(this.#deps, id);
  }

  #save(): void {
    for (const instance of this.#byId.values()) instance.save();
  }

  #inBackground(instance: Instance, work: Promise<void>): void {
    work.catch((error: unknown) => this.#deps.warn(`${instance.id}: ${String(error)}`));
  }

  /** @throws AegisError `instance_not_found`, `instance_deleted` */
  find(idOrHandle: string): Instance {
    const instance = this.peek(idOrHandle);
    if (instance !== undefined) return instance;
    if (this.#deps.store.findDeleted(idOrHandle) !== null) {
      throw new AegisError(
        "instance_deleted",
        `${idOrHandle} was deleted. Create a new instance to use its workspace again.`,
      );
    }
    throw notFound(idOrHandle);
  }

  peek(idOrHandle: string): Instance | undefined {
    return this.#byId.get(idOrHandle) ?? [...this.#byId.values()].find(({ handle }) => handle === idOrHandle);
  }

  /** Running, starting, paused, stopped, then disabled; oldest first. */
  list(filter: { state?: InstanceState; parentId?: string } = {}): Instance[] {
    return [...this.#byId.values()]
      .filter(({ state }) => filter.state === undefined || state === filter.state)
      .filter(({ record }) => filter.parentId === undefined || record.parentId === filter.parentId)
      .toSorted((a, b) => rank(a) - rank(b) || a.record.createdAt.localeCompare(b.record.createdAt));
  }

  /**
   * Creates an instance and starts to boot it; a stopped one of the same handle starts again with its stored spec.
   * @throws AegisError `handle_taken`, `invalid_request`, `invalid_path`, `secret_not_found`, `port_taken`
   */
  async create(body: CreateInstance): Promise<{ instance: Instance; created: boolean }> {
    const existing = body.handle === undefined ? undefined : this.peek(body.handle);
    if (existing !== undefined) return { instance: this.#startAgain(existing, body), created: false };
    const spec = toSpec(body, body.bindings ?? [], this.#defaults);
    return { instance: await this.#add(body, spec, null), created: true };
  }

  /**
   * Creates a child as the parent's grant allows.
   * @throws AegisError `capability_refused` with the reason, and what {@link create} throws
   */
  async spawn(parent: Instance, body: SpawnInstance): Promise<Instance> {
    if (parent.removed) throw notFound(parent.id);
    const wanted = body.bindings ?? [];
    const bindings = handedDown(parent, wanted);
    const spec = toSpec(childDefaults(parent, body), bindings, this.#defaults);
    const request = {
      spec,
      capabilities: body.capabilities ?? {},
      exposedPorts: toExposes(body).length,
      bindingNames: wanted,
    };
    try {
      checkSpawn(parent.record.grant, this.childrenOf(parent).length, request);
      refuseHostPath(spec.workspace);
      refusePublicPort(toExposes(body));
      refuseUnknownBindings(parent, wanted);
      refuseWiderNetwork(parent, spec.network);
    } catch (error) {
      if (error instanceof AegisError) this.#refused(parent, "spawn", error);
      throw error;
    }
    if (body.handle !== undefined && this.peek(body.handle) !== undefined) throw handleTaken(body.handle);
    return this.#add(body, spec, parent);
  }

  childrenOf(parent: Instance): Instance[] {
    return this.list({ parentId: parent.id });
  }

  /** A child of `parent`, or 404 as if it did not exist. */
  findChild(parent: Instance, idOrHandle: string): Instance {
    const child = this.peek(idOrHandle);
    if (child === undefined || child.record.parentId !== parent.id) throw notFound(idOrHandle);
    return child;
  }

  /** Opens a port because a process inside asked; counted against the grant that the instance lives under. */
  async exposeFromInside(
    instance: Instance,
    request: ExposeRequest,
  ): Promise<ReturnType<Instance["endpoints"]["list"]>[number]> {
    const { parentId, grant } = instance.record;
    const limit = parentId === null ? grant : this.find(parentId).record.grant;
    return instance.endpoints.expose(request, (ports) => {
      try {
        checkExposedPorts(limit, ports);
        refusePublicPort([request]);
      } catch (error) {
        if (error instanceof AegisError) this.#refused(instance, "expose", error);
        throw error;
      }
    });
  }

  /** Children first: they do not outlive what made them. */
  async stop(instance: Instance, reason = "stopped by request"): Promise<void> {
    await Promise.all([
      ...this.childrenOf(instance).map((child) => this.stop(child, "its parent was stopped")),
      instance.stop(reason),
    ]);
  }

  async disable(instance: Instance): Promise<void> {
    await Promise.all([
      ...this.childrenOf(instance).map((child) => this.stop(child, "its parent was disabled")),
      instance.disable(),
    ]);
  }

  async restart(instance: Instance): Promise<void> {
    const children = this.childrenOf(instance).map((child) => this.stop(child, "its parent was restarted"));
    const stopped = Promise.all(children);
    await Promise.all([stopped, instance.restart("restarted by request", async () => void (await stopped))]);
  }

  /**
   * Stops an instance and gives it another spec; id, children, workspace, disk and the public ports of what stays exposed
   * are kept. It is left stopped.
   * @throws AegisError what {@link create} throws, and then nothing is changed
   */
  async replace(instance: Instance, body: CreateInstance): Promise<void> {
    const wanted = toSpec(body, body.bindings ?? [], this.#defaults);
    const spec = { ...wanted, disk_mb: Math.max(wanted.disk_mb, instance.record.spec.disk_mb) };
    const exposes = toExposes(body);
    if (spec.workspace !== null) this.#deps.workspaces.check(spec.workspace);
    this.#checkSecrets(spec);
    const surplus = instance.endpoints
      .list()
      .filter(({ guest_port }) => !exposes.some(({ port }) => port === guest_port));
    for (const expose of exposes) await instance.endpoints.expose(expose);
    for (const { guest_port } of surplus) await instance.endpoints.unexpose(guest_port);
    await Promise.all(this.childrenOf(instance).map((child) => this.stop(child, "its parent was stopped")));
    await instance.replace(spec, body.capabilities ?? {});
  }

  /** @throws AegisError `secret_not_found` */
  setSecrets(instance: Instance, secrets: string[]): void {
    this.#checkSecrets({ ...instance.record.spec, secrets });
    instance.setSecrets(secrets);
  }

  /** Children with it: they do not outlive what made them. */
  async delete(instance: Instance): Promise<void> {
    const removed = instance.remove(() => this.#byId.delete(instance.id));
    await Promise.all([removed, ...this.childrenOf(instance).map((child) => this.delete(child))]);
  }

  /** Lets go of every machine, for the next daemon to take up. */
  async forgetAll(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#saving);
    await Promise.all([...this.#byId.values()].map((instance) => instance.forget()));
  }

  async stopAll(reason: string): Promise<void> {
    await Promise.all([...this.#byId.values()].map((instance) => instance.stop(reason)));
  }

  #startAgain(existing: Instance, body: CreateInstance): Instance {
    if (existing.state !== "stopped" && existing.state !== "failed") throw handleTaken(existing.handle);
    const added = body.secrets ?? [];
    if (added.length > 0) existing.setSecrets([...new Set([...existing.record.spec.secrets, ...added])]);
    this.#boot(existing, "started by request");
    return existing;
  }

  async #add(body: CreateInstance | SpawnInstance, spec: InstanceSpec, parent: Instance | null): Promise<Instance> {
    this.#refuseWhenFull();
    const exposes = toExposes(body);
    if (spec.workspace !== null) this.#deps.workspaces.check(spec.workspace);
    this.#checkSecrets(spec);
    const record = this.#newRecord(body.handle, spec, body.capabilities ?? {}, parent);
    const observation = newObservation(record.createdAt);
    this.#deps.store.insertInstance(record, observation);
    const instance = new Instance({ record, observation, endpoints: [], leases: [], power: [] }, this.#deps);
    this.#byId.set(instance.id, instance);
    this.#deps.events.emit({
      type: "instance.created",
      instance_id: record.id,
      handle: record.handle,
      parent_id: record.parentId,
    });
    try {
      for (const expose of exposes) await instance.endpoints.expose(expose);
    } catch (error) {
      await this.delete(instance);
      throw error;
    }
    this.#boot(instance, "created");
    return instance;
  }

  /** Failures of a boot that nobody waits for are in the instance's state, events and logs. */
  #boot(instance: Instance, reason: string): void {
    instance.start(reason).catch(this.#onBootError(instance));
  }

  #onBootError(instance: Instance): (error: unknown) => void {
    return (error) => {
      if (!(error instanceof AegisError))
        this.#deps.warn(`boot of ${instance.id}: ${error instanceof Error ? error.stack : String(error)}`);
    };
  }

  #newRecord(
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

  #checkSecrets(spec: InstanceSpec): void {
    const known = new Set(this.#deps.secrets.names());
    for (const name of secretNames(spec.secrets, this.#deps.secrets).values()) {
      if (!known.has(name)) throw secretMissing(name);
    }
    for (const name of bindingSecrets(spec)) if (!known.has(name)) throw secretMissing(name);
  }

  #refused(instance: Instance, what: string, error: AegisError): void {
    this.#deps.events.emit({ type: "capability.refused", instance_id: instance.id, what, reason: error.message });
  }
}

function rank(instance: Instance): number {
  if (!instance.record.enabled) return 5;
  return { running: 0, starting: 1, paused: 2, stopped: 3, failed: 4 }[instance.state];
}

/** Every machine was written down before it was made. */
const stateLost = (machines: number) =>
  new AegisError(
    "internal",
    `The state file data/aegis.db knows of no instance, but ${machines} of this home run: it was lost. Nothing was ended or deleted: restore it from a backup, or restart the host to start empty.`,
  );

const notFound = (idOrHandle: string) =>
  new AegisError("instance_not_found", `There is no instance ${idOrHandle}. See: aegis instance list`);

const handleTaken = (handle: string) =>
  new AegisError(
    "handle_taken",
    `${handle} exists and is not stopped. Choose another handle, or stop or delete that one.`,
  );

const secretMissing = (name: string) =>
  new AegisError("secret_not_found", `There is no secret ${name}. Set it with: aegis secret set ${name}`);
