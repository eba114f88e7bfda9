import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import type {
  Driver,
  DriverFeatures,
  DriverObserver,
  Machine,
  MachineSpec,
  NetworkRefusal,
} from "../../core/driver.ts";
import { bootMachine, socketPath, type BootHost } from "./boot-machine.ts";
import { Cgroup } from "../linux/cgroup.ts";
import { ContainerMachine } from "./container-machine.ts";
import { diskFull } from "../linux/disk-full.ts";
import { diskImageBytes, imagePath } from "../linux/disk-image.ts";
import type { DnsForwarder } from "../linux/dns/dns-forwarder.ts";
import { startDns } from "../linux/dns/start-dns.ts";
import { prepareHost } from "./host-preparation.ts";
import { MAX_SOCKET_PATH } from "../linux/harness-socket.ts";
import { whyNoDiskImages } from "./disk-image-probe.ts";
import { hostBootId } from "../linux/process-identity.ts";
import { MachinePlaces } from "../linux/machine-places.ts";
import { MemoryReclaim } from "./memory-reclaim.ts";
import { HostNetwork } from "../linux/network/host-network.ts";
import type { RuntimeName } from "./oci-runtime.ts";
import { SpareDisk } from "./spare-disk.ts";
import { readSwapSpace } from "./swap-space.ts";
import { runCommand } from "../linux/run-command.ts";
import type { HostUser } from "../linux/host-user.ts";

export interface ContainerDriverOptions {
  /** `~/.aegis` */
  home: string;
  /** short name of the home, unique on the host: part of socket paths and control groups */
  homeKey: string;
  /** folder with `aegis-guest`, its loader in `lib/`, and `tini`; readable for everyone */
  harnessDir: string;
  /** the invoking user: what instances make in their workspaces belongs to it */
  owner: HostUser;
  /** where the operator learns what the driver could not do */
  log: (message: string) => void;
  runtime?: "auto" | RuntimeName;
  /** `off`: paused instances keep their memory also where there is swap */
  reclaim?: "auto" | "off";
  /** private network that the homes of this host share; else `AEGIS_SUBNET`, else 10.209.0.0/16 */
  subnet?: string | undefined;
  /** names the host's resolvers */
  resolvConf?: string;
  /** for what lives until the host's next boot; short, since paths of sockets are limited */
  runDir?: string;
}

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]*$/;
const CLAIMS_FOLDER = "net";

interface Started {
  host: BootHost;
  places: MachinePlaces;
  dns: DnsForwarder;
}

/** Instances as Linux containers, by crun or runc. */
export class ContainerDriver implements Driver {
  readonly name = "container";
  readonly #options: ContainerDriverOptions;
  readonly #runFolder: string;
  readonly #network: HostNetwork;
  readonly #booting = new Set<string>();
  readonly #machines = new Map<string, ContainerMachine>();
  readonly #reclaim: MemoryReclaim;
  #started: Started | null = null;

  constructor(options: ContainerDriverOptions) {
    if (!NAME.test(options.homeKey) || options.homeKey === CLAIMS_FOLDER)
      throw new Error(`"${options.homeKey}" cannot be a home key`);
    const runDir = options.runDir ?? "/run/aegis";
    this.#options = options;
    this.#reclaim = new MemoryReclaim({
      enabled: options.reclaim !== "off",
      swap: readSwapSpace,
      now: () => performance.now(),
    });
    this.#runFolder = join(runDir, options.homeKey);
    this.#network = new HostNetwork({
      home: options.home,
      folder: join(runDir, CLAIMS_FOLDER),
      subnet: options.subnet ?? process.env["AEGIS_SUBNET"],
      log: options.log,
    });
  }

  get features(): DriverFeatures {
    const limitsMemory = this.#started?.host.limits.memory ?? false;
    const reclaimsMemory = limitsMemory && this.#reclaim.works;
    const limitsDisk = this.#started?.host.mountsImages ?? false;
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
    const { harnessDir, owner, homeKey, log, runtime = "auto" } = this.#options;
    const groupPath = `/aegis/${homeKey}`;
    const prepared = await prepareHost({ runFolder: this.#runFolder, groupPath, harnessDir, runtime });
    const group = new Cgroup(prepared.layout, groupPath);
    const places = new MachinePlaces(this.#runFolder, group, this.#network);
    const tell = (refusal: NetworkRefusal): void => observer?.networkRefused(refusal);
    const spareDisk = new SpareDisk(join(this.#data, "spare-disk"), log);
    await spareDisk.start();
    const [block, noImages] = await Promise.all([this.#network.start(tell), whyNoDiskImages(this.#data)]);
    const dns = await startDns(this.#network, this.#options.resolvConf).catch(async (error: unknown) => {
      await this.#network.close();
      await places.close();
      throw error;
    });
    this.#started = {
      host: {
        ...prepared,
        block,
        harnessDir,
        owner,
        reclaim: this.#reclaim,
        mountsImages: noImages === null,
        spareDisk,
      },
      places,
      dns,
    };
    if (noImages !== null) log(`this host mounts no disk images (${noImages}): instances run without a disk limit`);
    if (!prepared.limits.memory) log("this host has no memory control group: instances run without a memory limit");
  }

  async create(spec: MachineSpec, signal?: AbortSignal): Promise<Machine> {
    signal?.throwIfAborted();
    const { host, places } = this.#running();
    const id = this.#checked(spec.instanceId);
    if (this.#booting.has(id) || this.#machines.has(id))
      throw new AegisError("driver_failed", `Instance ${id} already has a machine: remove that one first.`);
    this.#booting.add(id);
    try {
      await this.#network.refresh();
      const machine = await this.#boot(host, places, spec, signal);
      this.#machines.set(id, machine);
      if (host.mountsImages) host.spareDisk.prepare(spec.diskMb);
      return machine;
    } finally {
      this.#booting.delete(id);
    }
  }

  async #boot(
    host: BootHost,
    places: MachinePlaces,
    spec: MachineSpec,
    signal?: AbortSignal,
  ): Promise<ContainerMachine> {
    const place = this.#tracked(spec.instanceId, await places.take(spec));
    try {
      await this.#network.openAddresses(place.link);
      return await bootMachine(host, place, this.#disk(spec.instanceId), spec, signal);
    } catch (error) {
      await place.release();
      throw toAegisError(error, signal);
    }
  }

  async adopt(): Promise<Machine[]> {
    const found = await this.#running().places.findLeft((id) => this.#machines.has(id) || this.#booting.has(id));
    for (const { record, place } of found) {
      const { cgroup, folder, release } = this.#tracked(record.instanceId, place);
      await this.#reclaim.restore(place);
      const machine = new ContainerMachine({
        record,
        cgroup,
        socketPath: socketPath(folder),
        diskBytes: () => diskImageBytes(imagePath(this.#disk(record.instanceId))),
        reclaim: (signal) => this.#reclaim.run(place, signal),
        release,
      });
      this.#machines.set(record.instanceId, machine);
    }
    return found.flatMap(({ record }) => this.#machines.get(record.instanceId) ?? []);
  }

  async discard(instanceId: string): Promise<void> {
    // Not Node's own rm: an instance can nest folders deeper than a path may be long, which rm copes with.
    await runCommand("rm", ["-rf", "--", this.#disk(this.#checked(instanceId))], { timeoutMs: 600_000 });
  }

  async close(): Promise<void> {
    const started = this.#started;
    if (started === null) return;
    this.#started = null;
    await started.dns.close();
    await started.host.spareDisk.close();
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
    if (this.#started === null) throw new AegisError("driver_failed", "The container driver is not started.");
    return this.#started;
  }

  #disk(instanceId: string): string {
    return join(this.#data, "instances", instanceId, "disk");
  }

  get #data(): string {
    return join(this.#options.home, "data");
  }

  #checked(instanceId: string): string {
    const path = socketPath(join(this.#runFolder, instanceId));
    if (!NAME.test(instanceId) || Buffer.byteLength(`${path}.new`) > MAX_SOCKET_PATH)
      throw new AegisError(
        "driver_failed",
        `"${instanceId}" cannot be the id of an instance: it is too long or has other characters than letters, digits, dots and dashes.`,
      );
    return instanceId;
  }
}

function toAegisError(error: unknown, signal?: AbortSignal): unknown {
  if (signal?.aborted === true || error instanceof AegisError || !(error instanceof Error)) return error;
  if ("code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT")) return diskFull(error);
  return new AegisError("driver_failed", `The instance cannot start: ${error.message}`, { cause: error });
}
