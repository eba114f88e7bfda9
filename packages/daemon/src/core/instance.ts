import type { Capabilities } from "@aegis/protocol/capability";
import type { Duplex } from "node:stream";
import type { HarnessNotifications } from "@aegis/protocol/control";
import type { InstanceState, InstanceStats, InstanceView, UpdateInstance } from "@aegis/protocol/instance";
import { AegisError } from "@aegis/protocol/errors";
import type { BindingBook } from "./binding-book.ts";
import { Connections } from "./connections.ts";
import type { Machine } from "./driver.ts";
import { clearRemains } from "./remains.ts";
import { EndpointBook } from "./endpoint-book.ts";
import type { EventLog } from "./event-log.ts";
import type { Ingress } from "./ingress.ts";
import { InstanceJournal } from "./instance-journal.ts";
import { isExpected } from "./instance-record.ts";
import type { InstanceRecord, InstanceSpec } from "./instance-record.ts";
import { checkDiskGrows, checkedHook } from "./instance-spec.ts";
import { toInstanceView } from "./instance-view.ts";
import { LeaseBook } from "./lease-book.ts";
import { Lifecycle } from "./lifecycle.ts";
import type { LifecycleDeps } from "./lifecycle-deps.ts";
import { secretNames } from "./secret-env.ts";
import type { Store, StoredInstance } from "./store.ts";
import { STOP_GRACE_MS } from "./transitions.ts";

/** What those above an instance have to say about it. */
export interface FamilyRules {
  /** @throws AegisError when the instance may not run now */
  checkStart(instance: Instance): void;
  /** as {@link Workspaces} take it; null: it has none. @throws AegisError `invalid_path` */
  workspaceOf(instance: Instance): string | null;
  /** its end is that of others below it */
  takesAlong(instance: Instance): boolean;
  /** a run is over, or a boot that came to nothing */
  onDown(instance: Instance): void;
  /** when the instance has to end at the latest, in ms since the epoch; null: never */
  expiryOf(instance: Instance): number | null;
}

export interface InstanceDeps extends Omit<
  LifecycleDeps,
  "onStream" | "onBootOver" | "onStranded" | "checkStart" | "workspace" | "takesAlong" | "onDown"
> {
  family: FamilyRules;
  store: Store;
  events: EventLog;
  ingress: Ingress;
  bindings: BindingBook;
  /** a process inside opened a stream to the Guest API or a binding */
  onReverseStream: (instance: Instance, request: HarnessNotifications["stream.open"], stream: Duplex) => void;
}

/** One instance: what others may do with it and ask of it. */
export class Instance {
  readonly leases: LeaseBook;
  readonly endpoints: EndpointBook;
  readonly connections: Connections;
  readonly #deps: InstanceDeps;
  readonly #journal: InstanceJournal;
  readonly #life: Lifecycle;

  constructor(stored: StoredInstance, deps: InstanceDeps) {
    this.#deps = deps;
    this.#journal = new InstanceJournal(stored, deps);
    this.#life = new Lifecycle(this.#journal, {
      ...deps,
      onBootOver: () => this.leases.releaseAllOf(this.id),
      onStranded: () => this.connections.strand(),
      checkStart: () => deps.family.checkStart(this),
      workspace: () => this.workspace(),
      takesAlong: () => deps.family.takesAlong(this),
      onDown: () => deps.family.onDown(this),
      onStream: async (request, reverse) => deps.onReverseStream(this, request, await reverse.accept()),
    });
    this.leases = new LeaseBook(this.id, stored.leases, {
      ...deps,
      hold: () => this.#life.activity.hold(),
      wake: (reason) => this.#life.wakePaused(reason),
    });
    this.endpoints = new EndpointBook(this.id, stored.endpoints, deps);
    this.connections = new Connections(this.#life, deps.harness);
  }

  get id(): string {
    return this.record.id;
  }
  get handle(): string {
    return this.record.handle;
  }
  get record(): Readonly<InstanceRecord> {
    return this.#journal.record;
  }
  get state(): InstanceState {
    return this.#life.state;
  }
  /** As {@link Workspaces} take it; null when it has none. @throws AegisError `invalid_path` for a folder in none */
  workspace(): string | null {
    return this.#deps.family.workspaceOf(this);
  }
  /** nothing of it runs */
  get down(): boolean {
    return this.state === "stopped" || this.state === "failed";
  }
  /** nothing of it runs, and nothing will by itself */
  get atRest(): boolean {
    return this.down && !isExpected(this.#journal.seen);
  }
  /** it ended, and what ends with it may still run */
  get endsBelow(): boolean {
    return this.#journal.seen.endsBelow;
  }
  /** generation of the newest boot */
  get boot(): number {
    return this.#journal.seen.boot;
  }

  view(): InstanceView {
    return toInstanceView({
      record: this.record,
      driver: this.#deps.driver.name,
      observation: this.#journal.seen,
      endpoints: this.endpoints.list(),
      leases: this.leases.list(),
      connections: this.connections.count,
      lastActiveAt: this.#life.lastActiveAt,
      expiresAt: this.#deps.family.expiryOf(this),
      secretKeys: [...secretNames(this.record.spec.secrets, this.#deps.secrets).keys()],
      stats: null,
    });
  }

  /** The view with what the kernel says of the machine right now. */
  async inspect(): Promise<InstanceView> {
    // before anything is looked at: who follows the events from there on misses none that this does not show
    const event_seq = this.#deps.events.newestSeq;
    const stats = await this.stats();
    return {
      ...this.view(),
      stats,
      power_history: this.#journal.power.list(),
      event_seq,
      bindings: this.#deps.bindings.views(this.record),
    };
  }

  /** What was to end with it has ended. */
  belowEnded(): void {
    if (this.endsBelow) this.#journal.note({ endsBelow: false });
  }

  /** Null when there is no machine. */
  async stats(): Promise<InstanceStats | null> {
    return (await this.#life.machine?.stats().catch(() => null)) ?? null;
  }

  /** Says `starting` at once; the promise settles when the workload runs or the boot has failed. Enables. Idempotent. */
  start(reason: string): Promise<void> {
    this.#journal.setEnabled(true);
    return this.#life.start(reason);
  }

  /** Ends the workload, keeps disk, ports and record; a connection wakes it again. Idempotent. */
  stop(reason: string): Promise<void> {
    return this.#life.stop(reason, STOP_GRACE_MS);
  }

  /** Stops and starts; nothing comes in between. Enables. @param between runs while it is down */
  restart(reason: string, between: () => Promise<void>): Promise<void> {
    this.#journal.setEnabled(true);
    return this.#life.restart(reason, between);
  }

  /** Stops, and takes another spec. A disk that lay over another image is made anew; the workspace stays. */
  replace(spec: InstanceSpec, grant: Capabilities): Promise<void> {
    const sameImage = spec.image_ref === this.record.spec.image_ref;
    return this.#life.stop("its spec was replaced", STOP_GRACE_MS, async () => {
      if (!sameImage) {
        await this.#deps.driver.discard(this.id);
        this.#journal.note({ imageDigest: null });
      }
      this.#journal.replace(spec, grant);
    });
  }

  /** Stops, and no connection wakes it. Idempotent. */
  disable(): Promise<void> {
    this.#journal.setEnabled(false);
    return this.stop("disabled");
  }

  /** @throws AegisError `wrong_state` unless running or paused */
  pause(force = false): Promise<void> {
    return this.#life.pause(force);
  }

  /** As {@link FallingAsleep.hibernate}. */
  hibernate(force = false): Promise<void> {
    return this.#life.hibernate(force);
  }

  /** @throws AegisError `wrong_state` unless running, paused or hibernated */
  resume(): Promise<void> {
    return this.#life.resume();
  }

  /**
   * Ends and removes everything but the workspace. The record becomes a tombstone, first of all: a crash half-way leaves
   * an instance that is deleted and has {@link Store.remains}, not one that lives and has lost its disk.
   * @param onTombstone there is no such instance from now on
   */
  remove(onTombstone: () => void): Promise<void> {
    return this.#life.remove(async () => {
      this.#deps.store.deleteInstance(this.id);
      onTombstone();
      this.#deps.events.emit({ type: "instance.deleted", instance_id: this.id, handle: this.handle });
      this.leases.close();
      this.#deps.bindings.usage.forget(this.id);
      await this.endpoints.close();
      await clearRemains(this.#deps, this.id);
    });
  }

  /** True from when it is to be deleted. */
  get removed(): boolean {
    return this.#life.removed;
  }

  /** Changes what may change while it runs. @throws AegisError `invalid_request`, `instance_deleted`, `disk_full` */
  update(body: UpdateInstance): InstanceView {
    if (this.removed) throw new AegisError("instance_deleted", `${this.handle} was deleted.`);
    if (body.pause_hook !== undefined) checkedHook(body.pause_hook);
    if (body.disk_mb !== undefined) checkDiskGrows(this.record.spec.disk_mb, body.disk_mb);
    if (Object.keys(body).length > 0) this.#journal.update(body);
    this.#life.respec();
    return this.view();
  }

  setSecrets(secrets: string[]): void {
    this.#journal.setSecrets(secrets);
  }

  /** @throws AegisError `disk_full`, and then nothing is changed */
  setGrant(grant: Capabilities): void {
    this.#journal.setGrant(grant);
  }

  /** After an exec was killed: notes when the kernel did it for want of memory. */
  checkMemory(): Promise<void> {
    return this.#life.checkMemory();
  }

  /** After a change of the key; of no effect unless it runs. */
  renewToken(): Promise<void> {
    return this.#life.renewToken();
  }

  /** Takes up a machine that outlived the last daemon. */
  adopt(machine: Machine): Promise<void> {
    return this.#life.adopt(machine);
  }

  /** Lets go of the machine, for the next daemon to take up. */
  forget(): Promise<void> {
    this.leases.forget();
    return this.#life.forget();
  }

  /** After a daemon restart without a machine to adopt; a hibernated one has none. @returns true when it is to be started again */
  settleWithoutMachine(): boolean {
    return this.#life.settleWithoutMachine();
  }

  /** Writes down what a next daemon needs to go on from here; cheap when nothing has changed. */
  save(): void {
    this.#life.save();
  }
}
