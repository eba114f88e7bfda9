import type {
  CreateInstance,
  Endpoint,
  ExposeRequest,
  InstanceState,
  InstanceView,
  SpawnInstance,
} from "@aegis/protocol/instance";
import type { Capabilities } from "@aegis/protocol/capability";
import { AegisError } from "@aegis/protocol/errors";
import { Admission, handleTaken } from "./admission.ts";
import { checkedGrant } from "./checked-grant.ts";
import { Family } from "./family.ts";
import { Grants } from "./grants.ts";
import { HouseRules } from "./house-rules.ts";
import { claimsOf } from "./image-use.ts";
import { Instance } from "./instance.ts";
import type { InstanceDeps } from "./instance.ts";
import { toExposes, toSpec } from "./instance-spec.ts";
import type { SpecDefaults } from "./instance-spec.ts";
import { checkSecrets } from "./secret-env.ts";
import { clearRemains } from "./remains.ts";
import { Orphans } from "./orphans.ts";
import { Reconciliation } from "./reconciliation.ts";
import { RefusalLog } from "./refusal-log.ts";
import { Spawning } from "./spawning.ts";
import type { Rights } from "./spawning.ts";
import type { StoredInstance } from "./store.ts";
import { treeView } from "./tree-view.ts";
import { unwatchedBoot } from "./unwatched-boot.ts";

export type InstancesDeps = Omit<InstanceDeps, "family">;

export interface InstancesOptions {
  defaults: SpecDefaults;
  /** throws `disk_full` when there is no room for another instance */
  refuseWhenFull: () => void;
}

/** How far what a next daemon finds may be behind, in ms. */
const SAVE_MS = 2000;

/** Every instance of this daemon, and the rules that concern more than one of them. */
export class Instances {
  readonly #deps: InstancesDeps;
  readonly #defaults: SpecDefaults;
  readonly #admission: Admission;
  readonly #byId = new Map<string, Instance>();
  readonly #family = new Family(this.#byId);
  readonly #orphans = new Orphans(this.#family);
  readonly #grants: Grants;
  readonly #rules: HouseRules;
  readonly #spawning: Spawning;
  #saving: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(deps: InstancesDeps, options: InstancesOptions) {
    this.#deps = deps;
    this.#defaults = options.defaults;
    const refusals = new RefusalLog(deps.events);
    this.#grants = new Grants(this.#family, refusals);
    this.#rules = new HouseRules({
      family: this.#family,
      orphans: this.#orphans,
      grants: this.#grants,
      warn: deps.warn,
    });
    this.#admission = new Admission({
      ...deps,
      refuseWhenFull: options.refuseWhenFull,
      family: this.#family,
      instances: this.#byId,
      make: (stored) => this.#make(stored),
      checkPorts: (instance, ports) => this.#spawning.checkPorts(instance, ports),
      withdraw: (instance) => this.delete(instance),
    });
    this.#spawning = new Spawning({
      family: this.#family,
      store: deps.store,
      refusals,
      defaults: options.defaults,
      add: (...child) => this.#add(...child),
    });
  }

  /** After a start of the daemon: takes up the machines that still run and the ports that were open. Deletes no record. */
  async reconcile(): Promise<void> {
    for (const stored of this.#deps.store.loadInstances()) {
      this.#byId.set(stored.record.id, this.#make(stored));
    }
    const { driver, images, store, warn } = this.#deps;
    await images
      .keep(() => [this.#defaults.imageRef, ...this.list().flatMap(claimsOf)])
      .catch((error: unknown) => warn(`which images are in use could not be written down: ${String(error)}`));
    const reconciliation = new Reconciliation({
      driver,
      warn,
      instances: this.#byId,
      orphans: this.#orphans,
      isNew: store.isNew(),
      onDown: (instance) => this.#rules.onDown(instance),
      isClosed: () => this.#closed,
    });
    const again = await reconciliation.settle();
    await Promise.all([...this.#byId.values()].map((instance) => instance.endpoints.reopen()));
    void reconciliation.startAll(again);
    void this.#clearRemains();
    this.#saving = setInterval(() => this.#save(), SAVE_MS).unref();
  }

  async #clearRemains(): Promise<void> {
    for (const id of this.#deps.store.remains()) await clearRemains(this.#deps, id);
  }

  #save(): void {
    for (const instance of this.#byId.values()) {
      instance.save();
      if (!instance.atRest && this.#rules.isOver(instance))
        this.#inBackground(instance, this.stop(instance, "its lifetime is over"));
    }
  }

  #make(stored: StoredInstance): Instance {
    return new Instance(stored, { ...this.#deps, family: this.#rules });
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

  /** Running, starting, paused, hibernated, stopped, then disabled; oldest first. */
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
    return { instance: await this.#add(body, spec, null, () => undefined), created: true };
  }

  /**
   * Creates a child as the parent's grant, and those above it, allow.
   * @throws AegisError `capability_refused` with the reason, and what {@link create} throws
   */
  async spawn(parent: Instance, body: SpawnInstance): Promise<Instance> {
    if (parent.removed) throw notFound(parent.id);
    return this.#spawning.spawn(parent, body);
  }

  childrenOf(parent: Instance): Instance[] {
    return this.list({ parentId: parent.id });
  }

  /** What the instance may still do, of what it was granted. */
  rightsOf(instance: Instance): Rights {
    return this.#spawning.rightsOf(instance);
  }

  /** Everything about one, with what it and all below it come to. */
  async inspect(instance: Instance): Promise<InstanceView> {
    const parts = { family: this.#family, store: this.#deps.store };
    const [view, tree] = await Promise.all([instance.inspect(), treeView(instance, this.rightsOf(instance), parts)]);
    return { ...view, tree };
  }

  /** A child of `parent`, or 404 as if it did not exist. */
  findChild(parent: Instance, idOrHandle: string): Instance {
    const child = this.peek(idOrHandle);
    if (child === undefined || child.record.parentId !== parent.id) throw notFound(idOrHandle);
    return child;
  }

  /** Opens a port because a process inside asked; counted against the grant that the instance lives under. */
  async exposeFromInside(instance: Instance, request: ExposeRequest): Promise<Endpoint> {
    return this.#spawning.expose(instance, request);
  }

  /**
   * Gives the instance another grant, at once: what is below it can do no more than that from now on.
   * @throws AegisError `capability_refused` for more than its parent may give, `invalid_request` for entries that mean nothing
   */
  async grant(instance: Instance, capabilities: Capabilities): Promise<void> {
    if (instance.removed) throw notFound(instance.id);
    await this.#grants.replace(instance, checkedGrant(capabilities));
  }

  /** With its children, unless it keeps them: they do not outlive what made them. */
  async stop(instance: Instance, reason = "stopped by request"): Promise<void> {
    await this.#endWithChildren(instance, "its parent was stopped", () => instance.stop(reason));
  }

  async disable(instance: Instance): Promise<void> {
    await this.#endWithChildren(instance, "its parent was disabled", () => instance.disable());
  }

  /** Not one after the other: each may take its grace. Whom the parent makes in its last moments ends after it. */
  async #endWithChildren(instance: Instance, why: string, end: () => Promise<void>): Promise<void> {
    await Promise.all([this.#orphans.endBelow(instance, why), end()]);
    await this.#orphans.endBelow(instance, why);
  }

  async restart(instance: Instance): Promise<void> {
    const endBelow = (): Promise<void> => this.#orphans.endBelow(instance, "its parent was restarted");
    const ended = endBelow();
    await Promise.all([ended, instance.restart("restarted by request", () => ended.then(endBelow))]);
  }

  /**
   * Stops an instance and gives it another spec; id, children, workspace, disk and the public ports of what stays exposed
   * are kept. It is left stopped.
   * @throws AegisError what {@link create} throws, and then nothing is changed
   */
  async replace(instance: Instance, body: CreateInstance): Promise<void> {
    const wanted = toSpec(body, body.bindings ?? [], this.#defaults);
    const spec = { ...wanted, disk_mb: Math.max(wanted.disk_mb, instance.record.spec.disk_mb) };
    const grant = checkedGrant(body.capabilities);
    const exposes = toExposes(body);
    this.#admission.checkWorkspace({ ...instance.record, spec });
    checkSecrets(spec, this.#deps.secrets);
    this.#grants.checkSpec(instance, spec, "replace");
    this.#grants.checkGrant(instance, grant, "replace");
    const surplus = instance.endpoints
      .list()
      .filter(({ guest_port }) => !exposes.some(({ port }) => port === guest_port));
    for (const expose of exposes) await instance.endpoints.expose(expose);
    for (const { guest_port } of surplus) await instance.endpoints.unexpose(guest_port);
    await this.#endWithChildren(instance, "its parent was stopped", () => instance.replace(spec, grant));
    await this.#grants.enforceBelow(instance);
  }

  /** @throws AegisError `secret_not_found` */
  setSecrets(instance: Instance, secrets: string[]): void {
    const spec = { ...instance.record.spec, secrets };
    checkSecrets(spec, this.#deps.secrets);
    this.#grants.checkSpec(instance, spec, "secrets");
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
    if (added.length > 0) this.setSecrets(existing, [...new Set([...existing.record.spec.secrets, ...added])]);
    this.#boot(existing, "started by request");
    return existing;
  }

  async #add(...wanted: Parameters<Admission["admit"]>): Promise<Instance> {
    const instance = await this.#admission.admit(...wanted);
    this.#boot(instance, "created");
    return instance;
  }

  #boot(instance: Instance, reason: string): void {
    instance.start(reason).catch(unwatchedBoot(instance.id, this.#deps.warn));
  }
}

function rank(instance: Instance): number {
  if (!instance.record.enabled) return 6;
  return { running: 0, starting: 1, paused: 2, hibernated: 3, stopped: 4, failed: 5 }[instance.state];
}

const notFound = (idOrHandle: string) =>
  new AegisError("instance_not_found", `There is no instance ${idOrHandle}. See: aegis instance list`);
