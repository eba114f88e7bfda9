import { AegisError } from "@aegis/protocol/errors";
import type { Driver, DriverFeatures, DriverObserver, MachineSpec, Machine } from "../../core/driver.ts";
import { FakeMachine } from "./fake-machine.ts";
import type { FakeFaults, FakeSnapshot } from "./fake-machine.ts";

/** What outlives a daemon: give the same host to a second driver, and it adopts what the first one left. */
export class FakeHost {
  readonly machines = new Map<string, FakeMachine>();
  bootId = "boot-1";
  /** instances with a disk */
  readonly disks = new Set<string>();
  /** what hibernated machines left, by instance */
  readonly snapshots = new Map<string, FakeSnapshot>();
  readonly faults: FakeFaults = {
    create: null,
    pause: null,
    resume: null,
    kill: null,
    dial: null,
    remove: null,
    hibernate: null,
    restore: null,
  };
}

const allFeatures: DriverFeatures = {
  pauseKeepsMemory: true,
  hibernates: true,
  limitsMemory: true,
  limitsDisk: true,
  filtersNetwork: true,
  reclaimsMemory: false,
};

/** A backend in memory, for tests: machines with a scripted harness, and faults on demand. */
export class FakeDriver implements Driver {
  readonly name = "fake";
  readonly features: DriverFeatures;
  readonly host: FakeHost;
  /** through which a test refuses an instance something; null before the start */
  observer: DriverObserver | null = null;
  /** a test puts something here that `create` waits for */
  beforeCreate: (spec: MachineSpec) => Promise<void> = async () => undefined;
  /** a test puts something here that `hibernate` waits for, in the middle of it */
  whileHibernating: (signal: AbortSignal) => Promise<void> = async () => undefined;
  /** a test puts something here that `restore` waits for, when the machine is reachable and nothing is known of its harness */
  whileRestoring: () => Promise<void> = async () => undefined;

  constructor(host = new FakeHost(), features: Partial<DriverFeatures> = {}) {
    this.host = host;
    this.features = { ...allFeatures, ...features };
  }

  get faults(): FakeFaults {
    return this.host.faults;
  }

  /** The running machine of an instance. */
  machine(instanceId: string): FakeMachine | null {
    return this.host.machines.get(instanceId) ?? null;
  }

  async hostBoot(): Promise<string> {
    return this.host.bootId;
  }

  async start(observer: DriverObserver | null = null): Promise<void> {
    this.observer = observer;
  }

  async create(spec: MachineSpec, signal?: AbortSignal): Promise<FakeMachine> {
    signal?.throwIfAborted();
    await abortable(this.beforeCreate(spec), signal);
    signal?.throwIfAborted();
    if (this.faults.create !== null) throw this.faults.create;
    const machine = this.#make(spec);
    this.host.disks.add(spec.instanceId);
    return machine;
  }

  #make(spec: MachineSpec, going?: FakeSnapshot): FakeMachine {
    const { machines, snapshots } = this.host;
    if (machines.has(spec.instanceId))
      throw new AegisError(
        "driver_failed",
        `Instance ${spec.instanceId} already has a machine: remove that one first.`,
      );
    const machine = new FakeMachine(spec, {
      faults: this.faults,
      onRemove: () => {
        if (machines.get(spec.instanceId) === machine) machines.delete(spec.instanceId);
      },
      write: this.features.hibernates
        ? async (snapshot, signal) => {
            await this.whileHibernating(signal);
            // whoever gave up, or was killed, writes nothing more
            signal.throwIfAborted();
            snapshots.set(spec.instanceId, snapshot);
          }
        : null,
      ...(going !== undefined && { harness: going.harness }),
    });
    machines.set(spec.instanceId, machine);
    return machine;
  }

  async restore(
    spec: MachineSpec,
    key: Uint8Array,
    signal?: AbortSignal,
    onReachable?: (machine: Machine) => void,
  ): Promise<FakeMachine> {
    signal?.throwIfAborted();
    await abortable(this.beforeCreate(spec), signal);
    const snapshot = this.host.snapshots.get(spec.instanceId);
    if (snapshot === undefined) throw unusable("nothing was written");
    this.host.snapshots.delete(spec.instanceId);
    const why = this.faults.restore?.message ?? (Buffer.compare(snapshot.key, key) === 0 ? null : "its key is another");
    if (why !== null) {
      snapshot.harness.end();
      snapshot.harness.gate.open();
      throw unusable(why);
    }
    const machine = this.#make(spec, snapshot);
    snapshot.harness.gate.open();
    onReachable?.(machine);
    await this.whileRestoring().catch(async (error: unknown) => {
      await machine.kill();
      await machine.remove();
      throw error;
    });
    return machine;
  }

  async dropSnapshot(instanceId: string): Promise<void> {
    const snapshot = this.host.snapshots.get(instanceId);
    this.host.snapshots.delete(instanceId);
    // one that came to nothing is that of a machine which lives
    if (this.machine(instanceId)?.harness !== snapshot?.harness) snapshot?.harness.end();
  }

  async adopt(): Promise<FakeMachine[]> {
    const { machines } = this.host;
    for (const [id, machine] of machines) if (!machine.alive) machines.delete(id);
    return [...machines.values()];
  }

  async discard(instanceId: string): Promise<void> {
    this.host.disks.delete(instanceId);
    await this.dropSnapshot(instanceId);
  }

  async close(): Promise<void> {
    return;
  }
}

const unusable = (why: string) => new AegisError("snapshot_unusable", why);

async function abortable(work: Promise<void>, signal?: AbortSignal): Promise<void> {
  if (signal === undefined) return work;
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
