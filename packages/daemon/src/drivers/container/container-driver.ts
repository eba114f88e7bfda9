import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Driver, DriverFeatures, DriverObserver, Machine, MachineSpec } from "../../core/driver.ts";
import { AegisError } from "@aegis/protocol/errors";
import { bootMachine, HARNESS_SOCKET, type BootHost } from "./boot-machine.ts";
import { ContainerMachine } from "./container-machine.ts";
import { diskImageBytes, imagePath, snapshotPath } from "../linux/disk-image.ts";
import { prepareHost } from "./host-preparation.ts";
import { whyNoDiskImages } from "./disk-image-probe.ts";
import { hostBootId } from "../linux/process-identity.ts";
import { HomeMachines, type HomeOptions } from "../linux/home-machines.ts";
import { MemoryReclaim } from "./memory-reclaim.ts";
import type { RuntimeName } from "./oci-runtime.ts";
import { SpareDisk } from "./spare-disk.ts";
import { SwappedMemory } from "./swapped-memory.ts";
import { readSwapSpace } from "./swap-space.ts";

export interface ContainerDriverOptions extends HomeOptions {
  runtime?: "auto" | RuntimeName;
  /** `off`: paused instances keep their memory also where there is swap */
  reclaim?: "auto" | "off";
}

/** Instances as Linux containers, by crun or runc. */
export class ContainerDriver implements Driver {
  readonly name = "container";
  readonly #options: ContainerDriverOptions;
  readonly #machines: HomeMachines<ContainerMachine>;
  readonly #reclaim: MemoryReclaim;
  #host: BootHost | null = null;

  constructor(options: ContainerDriverOptions) {
    this.#options = options;
    this.#machines = new HomeMachines(this.name, options, HARNESS_SOCKET);
    this.#reclaim = new MemoryReclaim({
      enabled: options.reclaim !== "off",
      swap: readSwapSpace,
      now: () => performance.now(),
    });
  }

  get features(): DriverFeatures {
    const limitsMemory = this.#host?.limits.memory ?? false;
    const reclaimsMemory = limitsMemory && this.#reclaim.works;
    const limitsDisk = this.#host?.mountsImages ?? false;
    return {
      pauseKeepsMemory: true,
      hibernates: false,
      limitsMemory,
      limitsDisk,
      filtersNetwork: true,
      reclaimsMemory,
    };
  }

  hostBoot(): Promise<string> {
    return hostBootId();
  }

  async start(observer?: DriverObserver): Promise<void> {
    const { harnessDir, owner, log, runtime = "auto" } = this.#options;
    const { data } = this.#machines;
    const home = await this.#machines.prepare();
    const prepared = await prepareHost(home, runtime);
    const spareDisk = new SpareDisk(join(data, "spare-disk"), log);
    await spareDisk.start();
    const [block, noImages] = await Promise.all([this.#machines.open(home, observer), whyNoDiskImages(data)]);
    const mountsImages = noImages === null;
    this.#host = { ...prepared, block, harnessDir, owner, reclaim: this.#reclaim, mountsImages, spareDisk };
    if (noImages !== null) log(`this host mounts no disk images (${noImages}): instances run without a disk limit`);
    if (!prepared.limits.memory) log("this host has no memory control group: instances run without a memory limit");
  }

  async create(spec: MachineSpec, signal?: AbortSignal): Promise<Machine> {
    const host = this.#running;
    const machine = await this.#machines.make(
      spec,
      (place, disk) => bootMachine(host, place, disk, spec, signal),
      signal,
    );
    if (host.mountsImages) host.spareDisk.prepare(spec.diskMb);
    return machine;
  }

  adopt(): Promise<Machine[]> {
    return this.#machines.adopt(async ({ record, place }, disk) => {
      await this.#reclaim.restore(place);
      return new ContainerMachine({
        record,
        cgroup: place.cgroup,
        address: place.link.address,
        socketPath: join(place.folder, HARNESS_SOCKET),
        diskBytes: () => diskImageBytes(imagePath(disk)),
        swapped: new SwappedMemory(this.#reclaim, place),
        release: place.release,
      });
    });
  }

  /** It writes none, but this home may have had another driver. */
  async dropSnapshot(instanceId: string): Promise<void> {
    await rm(snapshotPath(this.#machines.disk(instanceId)), { recursive: true, force: true });
  }

  discard(instanceId: string): Promise<void> {
    return this.#machines.discard(instanceId);
  }

  async close(): Promise<void> {
    const host = this.#host;
    this.#host = null;
    await host?.spareDisk.close();
    await this.#machines.close();
  }

  get #running(): BootHost {
    if (this.#host === null) throw new AegisError("driver_failed", "The container driver is not started.");
    return this.#host;
  }
}
