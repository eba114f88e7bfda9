import { access, chmod, constants, mkdir, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import type {
  Driver,
  DriverFeatures,
  DriverObserver,
  Machine,
  MachineSpec,
  NetworkRefusal,
} from "../../core/driver.ts";
import { Cgroup } from "../linux/cgroup.ts";
import { detectCgroupLayout, exists } from "../linux/cgroup-layout.ts";
import { imagePath } from "../linux/disk-image.ts";
import type { DnsForwarder } from "../linux/dns/dns-forwarder.ts";
import { startDns } from "../linux/dns/start-dns.ts";
import type { HostUser } from "../linux/host-user.ts";
import { type BootPlace, MachinePlaces } from "../linux/machine-places.ts";
import { HostNetwork } from "../linux/network/host-network.ts";
import { hostBootId } from "../linux/process-identity.ts";
import { runCommand } from "../linux/run-command.ts";
import { chooseAccelerator } from "./accelerator.ts";
import { bootMicrovm, findLoader, readBootFacts, restoreMicrovm, type MicrovmHost } from "./boot-microvm.ts";
import { GuestAgent } from "./guest-agent.ts";
import { MicrovmMachine, readPaused } from "./microvm-machine.ts";
import { sockets } from "./qemu-process.ts";
import { QmpClient } from "./qmp-client.ts";
import { RootfsImages } from "./rootfs-image.ts";
import type { Accelerator } from "./qemu-command.ts";
import { snapshotFolder } from "./snapshot-store.ts";

export interface MicrovmDriverOptions {
  home: string;
  homeKey: string;
  /** folder with the harness and its loader */
  harnessDir: string;
  /** folder with `vmlinuz`, `initramfs.cpio` and `harness.erofs` */
  vmDir: string;
  owner: HostUser;
  /** `auto`: KVM where a kernel boots with it */
  accelerator: "auto" | Accelerator;
  log: (message: string) => void;
  subnet?: string | undefined;
  resolvConf?: string;
  runDir?: string;
}

const CLAIMS_FOLDER = "net";
const QEMU = "qemu-system-x86_64";
const VIRTIOFSD = "/usr/lib/qemu/virtiofsd";

interface Started {
  host: MicrovmHost;
  places: MachinePlaces;
  dns: DnsForwarder;
}

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
  readonly #runFolder: string;
  readonly #network: HostNetwork;
  readonly #booting = new Set<string>();
  readonly #machines = new Map<string, MicrovmMachine>();
  #started: Started | null = null;

  constructor(options: MicrovmDriverOptions) {
    const runDir = options.runDir ?? "/run/aegis";
    this.#options = options;
    this.#runFolder = join(runDir, options.homeKey);
    this.#network = new HostNetwork({
      home: options.home,
      folder: join(runDir, CLAIMS_FOLDER),
      subnet: options.subnet ?? process.env["AEGIS_SUBNET"],
      log: options.log,
    });
  }

  hostBoot(): Promise<string> {
    return hostBootId();
  }

  async start(observer?: DriverObserver): Promise<void> {
    const { harnessDir, vmDir, owner, homeKey, resolvConf } = this.#options;
    const qemu = await findProgram(QEMU);
    if (!(await exists(join(vmDir, "harness.erofs"))))
      throw new AegisError("driver_failed", `${vmDir} holds no kernel for virtual machines. Build it: npm start does.`);
    const version = (await runCommand(qemu, ["--version"])).split("\n", 1)[0] ?? "";
    const stamp = await readFile(join(vmDir, ".stamp"), "utf8");
    const accelerator = await this.#accelerator(qemu, `${version} ${stamp}`);
    const platform = `${version} ${accelerator} ${stamp}`;
    await mkdir(this.#runFolder, { recursive: true });
    await chmod(this.#runFolder, 0o711);
    const layout = await detectCgroupLayout();
    const places = new MachinePlaces(this.#runFolder, new Cgroup(layout, `/aegis/${homeKey}`), this.#network);
    const tell = (refusal: NetworkRefusal): void => observer?.networkRefused(refusal);
    const block = await this.#network.start(tell);
    const dns = await startDns(this.#network, resolvConf).catch(async (error: unknown) => {
      await this.#network.close();
      await places.close();
      throw error;
    });
    const virtiofsd = (await exists(VIRTIOFSD)) ? VIRTIOFSD : null;
    const images = new RootfsImages(join(this.#data, "microvm", "images"));
    const loader = await findLoader(harnessDir);
    this.#started = {
      host: { accelerator, qemu, virtiofsd, layout, block, vmDir, loader, owner, images, platform },
      places,
      dns,
    };
  }

  async #accelerator(qemu: string, platform: string): Promise<Accelerator> {
    const { accelerator, vmDir, log } = this.#options;
    if (accelerator !== "auto") return accelerator;
    return chooseAccelerator({ qemu, vmDir, platform, file: join(this.#data, "microvm", "kvm.json") }, log);
  }

  create(spec: MachineSpec, signal?: AbortSignal): Promise<Machine> {
    return this.#make(spec, signal, (host, place, disk) => bootMicrovm(host, place, disk, spec, signal));
  }

  restore(spec: MachineSpec, key: Uint8Array, signal?: AbortSignal): Promise<Machine> {
    return this.#make(spec, signal, (host, place, disk) => restoreMicrovm(host, place, disk, spec, key, signal));
  }

  async dropSnapshot(instanceId: string): Promise<void> {
    await snapshotFolder(this.#disk(instanceId)).drop();
  }

  async #make(
    spec: MachineSpec,
    signal: AbortSignal | undefined,
    make: (host: MicrovmHost, place: BootPlace, disk: string) => Promise<MicrovmMachine>,
  ): Promise<Machine> {
    signal?.throwIfAborted();
    const { host, places } = this.#running();
    const id = spec.instanceId;
    if (this.#booting.has(id) || this.#machines.has(id))
      throw new AegisError("driver_failed", `Instance ${id} already has a machine: remove that one first.`);
    this.#booting.add(id);
    try {
      await this.#network.refresh();
      const place = this.#tracked(id, await places.take(spec));
      try {
        await this.#network.openAddresses(place.link);
        const machine = await make(host, place, this.#disk(id));
        this.#machines.set(id, machine);
        return machine;
      } catch (error) {
        await place.release();
        signal?.throwIfAborted();
        throw error;
      }
    } finally {
      this.#booting.delete(id);
    }
  }

  async adopt(): Promise<Machine[]> {
    const { places } = this.#running();
    const found = await places.findLeft((id) => this.#machines.has(id) || this.#booting.has(id));
    for (const { record, place } of found) {
      const { cgroup, folder, release } = this.#tracked(record.instanceId, place);
      const paths = sockets(folder);
      const monitor = await QmpClient.connect(paths.monitor);
      const parts = {
        record,
        cgroup,
        folder,
        facts: await readBootFacts(folder),
        diskImage: imagePath(this.#disk(record.instanceId)),
        monitor,
        agent: new GuestAgent(paths.agent),
        release,
      };
      this.#machines.set(record.instanceId, new MicrovmMachine(parts, await readPaused(monitor)));
    }
    return found.flatMap(({ record }) => this.#machines.get(record.instanceId) ?? []);
  }

  async discard(instanceId: string): Promise<void> {
    await this.dropSnapshot(instanceId);
    await runCommand("rm", ["-rf", "--", this.#disk(instanceId)], { timeoutMs: 600_000 });
  }

  async close(): Promise<void> {
    const started = this.#started;
    if (started === null) return;
    this.#started = null;
    await started.dns.close();
    for (const machine of this.#machines.values()) {
      if (machine.hasEnded) await machine.remove();
      else machine.forget();
    }
    if (this.#machines.size > 0) return this.#network.letGo();
    await this.#network.close();
    await started.places.close();
  }

  /** The same place, whose release also ends what this driver knows of the machine. */
  #tracked<P extends { release: () => Promise<void> }>(instanceId: string, place: P): P {
    const release = async (): Promise<void> => {
      await place.release();
      this.#machines.delete(instanceId);
    };
    return { ...place, release };
  }

  #running(): Started {
    if (this.#started === null) throw new AegisError("driver_failed", "The microvm driver is not started.");
    return this.#started;
  }

  #disk(instanceId: string): string {
    return join(this.#data, "instances", instanceId, "disk");
  }

  get #data(): string {
    return join(this.#options.home, "data");
  }
}

async function findProgram(name: string): Promise<string> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, name);
    const usable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (usable) return path;
  }
  throw new AegisError("driver_failed", `${name} is missing. Install it: apt-get install qemu-system-x86.`);
}
