import { AegisError } from "@aegis/protocol/errors";
import type { Driver, DriverFeatures, DriverObserver, MachineSpec } from "../../core/driver.ts";
import { FakeMachine, type FakeFaults } from "./fake-machine.ts";

/** What outlives a daemon: give the same host to a second driver, and it adopts what the first one left. */
export class FakeHost {
  readonly machines = new Map<string, FakeMachine>();
  bootId = "boot-1";
  /** instances with a disk */
  readonly disks = new Set<string>();
  readonly faults: FakeFaults = { create: null, pause: null, resume: null, kill: null, dial: null, remove: null };
}

const allFeatures: DriverFeatures = {
  pauseKeepsMemory: true,
  hibernates: false,
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
    const { machines, disks } = this.host;
    if (machines.has(spec.instanceId))
      throw new AegisError(
        "driver_failed",
        `Instance ${spec.instanceId} already has a machine: remove that one first.`,
      );
    const machine = new FakeMachine(spec, this.faults, () => {
      if (machines.get(spec.instanceId) === machine) machines.delete(spec.instanceId);
    });
    machines.set(spec.instanceId, machine);
    disks.add(spec.instanceId);
    return machine;
  }

  async adopt(): Promise<FakeMachine[]> {
    const { machines } = this.host;
    for (const [id, machine] of machines) if (!machine.alive) machines.delete(id);
    return [...machines.values()];
  }

  async discard(instanceId: string): Promise<void> {
    this.host.disks.delete(instanceId);
  }

  async close(): Promise<void> {
    return;
  }
}

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
