import { AegisError } from "@aegis/protocol/errors";
import type { Driver, DriverFeatures, DriverObserver, Machine, MachineSpec, WarmSpec } from "../../core/driver.ts";
import { imagePath, isPlainDisk } from "../linux/disk-image.ts";
import { HomeMachines, type HomeOptions } from "../linux/home-machines.ts";
import type { BootPlace, FoundMachine } from "../linux/machine-places.ts";
import { hostBootId } from "../linux/process-identity.ts";
import { whyNoKvm } from "./accelerator.ts";
import { bootMicrovm, restoreMicrovm } from "./boot-microvm.ts";
import { GuestAgent } from "./guest-agent.ts";
import { type MicrovmHost, readBootFacts } from "./launch-microvm.ts";
import { MicrovmMachine, readPaused } from "./microvm-machine.ts";
import { LONGEST_SOCKET, sockets } from "./qemu-process.ts";
import { QmpClient } from "./qmp-client.ts";
import { RootfsImages } from "./rootfs-image.ts";
import { type Accelerator, hardwareOf, qemuUser } from "./qemu-command.ts";
import { snapshotFolder } from "./snapshot-store.ts";
import { findVmParts, type VmParts } from "./vm-parts.ts";
import { WarmStarts } from "./warm-starts.ts";

export interface MicrovmDriverOptions extends HomeOptions {
  /** folder with `vmlinuz`, `initramfs.cpio` and `harness.erofs` */
  vmDir: string;
  /** `auto`: KVM where a kernel boots with it */
  accelerator: "auto" | Accelerator;
  /** `auto`: behind the first boot of an image and size a template is made for the next ones; else when asked */
  warmStarts: "auto" | "asked";
}

/** a monitor that is silent for longer belongs to no machine that is of use to anybody */
const ADOPT_MS = 10_000;

/** Instances as virtual machines with a kernel of their own, by QEMU. */
export class MicrovmDriver implements Driver {
  readonly name = "microvm";
  readonly features: DriverFeatures = {
    pauseKeepsMemory: true,
    hibernates: true,
    limitsMemory: true,
    limitsDisk: true,
    filtersNetwork: true,
    reclaimsMemory: false,
  };
  readonly #options: MicrovmDriverOptions;
  readonly #machines: HomeMachines<MicrovmMachine>;
  #host: MicrovmHost | null = null;
  #warm: WarmStarts | null = null;

  constructor(options: MicrovmDriverOptions) {
    this.#options = options;
    this.#machines = new HomeMachines(this.name, options, LONGEST_SOCKET);
  }

  hostBoot(): Promise<string> {
    return hostBootId();
  }

  async start(observer?: DriverObserver): Promise<void> {
    const { vmDir, owner } = this.#options;
    const parts = await findVmParts(vmDir);
    const home = await this.#machines.prepare();
    const accelerator = await this.#accelerator(parts);
    const platform = `${parts.platform} ${accelerator} ${hardwareOf(accelerator)}`;
    const block = await this.#machines.open(home, observer);
    const { layout, loader } = home;
    this.#host = { ...parts, platform, accelerator, layout, loader, block, owner, images: new RootfsImages() };
    const { warmStarts, log } = this.#options;
    this.#warm = new WarmStarts({ machines: this.#machines, host: this.#host, byItself: warmStarts === "auto", log });
  }

  async #accelerator(parts: VmParts): Promise<Accelerator> {
    const { accelerator, log } = this.#options;
    if (accelerator !== "auto") return accelerator;
    const why = await whyNoKvm(parts);
    if (why === null) return "kvm";
    log(`virtual machines run without hardware help, many times slower: ${why}`);
    return "tcg";
  }

  async create(spec: MachineSpec, signal?: AbortSignal): Promise<Machine> {
    const host = this.#running;
    await refusePlainDisk(this.#machines.disk(spec.instanceId));
    const warm = await this.#warm?.start(spec, signal);
    if (warm) return warm;
    return this.#machines.make(spec, (place, disk) => bootMicrovm(host, place, disk, spec, "boots", signal), signal);
  }

  async restore(
    spec: MachineSpec,
    key: Uint8Array,
    signal?: AbortSignal,
    onReachable?: (machine: Machine) => void,
  ): Promise<Machine> {
    const host = this.#running;
    const restore = (place: BootPlace, disk: string): Promise<MicrovmMachine> =>
      restoreMicrovm(host, place, disk, spec, { key, signal, onReachable });
    // what is wrong with it is for the restore to say
    const facts = await snapshotFolder(this.#machines.disk(spec.instanceId))
      .readFacts()
      .catch(() => null);
    return this.#machines.make(spec, restore, signal, facts?.address);
  }

  async warm(spec: WarmSpec, signal: AbortSignal): Promise<void> {
    if (this.#running) await this.#warm?.make(spec, signal);
  }

  async dropSnapshot(instanceId: string): Promise<void> {
    await snapshotFolder(this.#machines.disk(instanceId)).drop();
  }

  adopt(): Promise<Machine[]> {
    return this.#machines.adopt(adoptMicrovm);
  }

  async discard(instanceId: string): Promise<void> {
    await this.dropSnapshot(instanceId);
    await this.#machines.discard(instanceId);
  }

  async close(): Promise<void> {
    this.#host = null;
    await this.#warm?.close();
    this.#warm = null;
    await this.#machines.close();
  }

  get #running(): MicrovmHost {
    if (this.#host === null) throw new AegisError("driver_failed", "The microvm driver is not started.");
    return this.#host;
  }
}

/** A new disk in its place would look as if all had been lost. */
async function refusePlainDisk(folder: string): Promise<void> {
  if (await isPlainDisk(folder))
    throw new AegisError(
      "driver_failed",
      "The instance cannot start as a virtual machine: its disk is plain folders, as containers write them on a host that mounts no disk images. Nothing of it was changed. Start it with AEGIS_DRIVER=container, or delete it and make a new one.",
    );
}

async function adoptMicrovm({ record, place }: FoundMachine, disk: string): Promise<MicrovmMachine> {
  const { cgroup, folder, link, release } = place;
  const facts = await readBootFacts(folder);
  const paths = sockets(folder);
  const monitor = await QmpClient.connect(paths.monitor, ADOPT_MS);
  const parts = {
    record,
    cgroup,
    folder,
    facts,
    address: link.address,
    user: qemuUser(link.address),
    diskImage: imagePath(disk),
    monitor,
    agent: new GuestAgent(paths.agent),
    release,
  };
  const isPaused = await readPaused(monitor);
  // its daemon may have died between taking it up and setting its clock
  if (!isPaused) void parts.agent.setClock();
  return new MicrovmMachine(parts, isPaused);
}
