import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import type { MachineSpec } from "../../core/driver.ts";
import { runBootScript, type BootOutput } from "./boot-process.ts";
import { isHybrid, type CgroupLayout, type MemoryLimits } from "../linux/cgroup-layout.ts";
import { ContainerMachine } from "./container-machine.ts";
import { probeHarness } from "../linux/harness-probe.ts";
import { listenForHarness, type ListeningSocket } from "../linux/harness-socket.ts";
import { diskImageBytes, imagePath } from "../linux/disk-image.ts";
import { imageUser } from "../linux/image-user.ts";
import { openDisk, type InstanceDisk } from "./instance-disk.ts";
import { freshFolder } from "../linux/fresh-folder.ts";
import { fillBootFolder, linkDisk } from "./machine-folder.ts";
import type { BootPlace } from "../linux/machine-places.ts";
import type { MemoryReclaim } from "./memory-reclaim.ts";
import { SwappedMemory } from "./swapped-memory.ts";
import { writeMachineRecord } from "../linux/machine-record.ts";
import type { AddressBlock } from "../linux/network/address-block.ts";
import { ociConfig } from "../linux/oci-config.ts";
import type { OciRuntime } from "./oci-runtime.ts";
import { hostBootId, identifyProcess, type ProcessIdentity } from "../linux/process-identity.ts";
import type { SpareDisk } from "./spare-disk.ts";
import type { HostUser } from "../linux/host-user.ts";
import { workspaceOptions } from "./workspace-mount.ts";

/** What is the same for every boot of a home. */
export interface BootHost {
  runtime: OciRuntime;
  layout: CgroupLayout;
  limits: MemoryLimits;
  block: AddressBlock;
  harnessDir: string;
  loader: string;
  hasIpv6: boolean;
  owner: HostUser;
  reclaim: MemoryReclaim;
  /** whether disks are images, so that they have a bound */
  mountsImages: boolean;
  spareDisk: SpareDisk;
}

const PROBE_MS = 20_000;

export const HARNESS_SOCKET = "harness.sock";

/** Boots up to a harness that has answered. Leaves its traces when it fails: the caller calls `place.release`. */
export async function bootMachine(
  host: BootHost,
  place: BootPlace,
  diskFolder: string,
  spec: MachineSpec,
  signal?: AbortSignal,
): Promise<ContainerMachine> {
  await freshFolder(place.folder);
  const [disk] = await Promise.all([
    openDisk(diskFolder, place.folder, { asImage: host.mountsImages, sizeMb: spec.diskMb, spare: host.spareDisk }),
    writeBootFiles(host, place, spec),
    place.cgroup.createV2(),
  ]);
  await linkDisk(place.folder, disk);
  signal?.throwIfAborted();
  const socketPath = join(place.folder, HARNESS_SOCKET);
  const socket = await listenForHarness(socketPath);
  const output = await bootWith(host, place, spec, disk, socket);
  try {
    const identity = await findInit(host, place, output);
    const { instanceId, boot } = spec;
    const record = {
      version: 1 as const,
      driver: "container" as const,
      instanceId,
      boot,
      slot: place.link.slot,
      interfaceName: place.link.interfaceName,
      network: place.link.network,
      ...identity,
      hostBootId: await hostBootId(),
    };
    await writeMachineRecord(place.folder, record);
    const { cgroup, release } = place;
    const machine = new ContainerMachine({
      record,
      cgroup,
      address: place.link.address,
      socketPath,
      diskBytes: () => diskImageBytes(imagePath(diskFolder)),
      swapped: new SwappedMemory(host.reclaim, place),
      release,
    });
    await awaitHarness(machine, output, signal).catch((error: unknown) => {
      machine.forget();
      throw error;
    });
    return machine;
  } finally {
    output.close();
  }
}

async function writeBootFiles(host: BootHost, place: BootPlace, spec: MachineSpec): Promise<void> {
  const user = await imageUser(spec.rootfs, spec.user);
  const config = ociConfig({
    hostname: spec.hostname,
    rootfs: join(place.folder, "rootfs"),
    user,
    memoryMb: spec.memoryMb,
    limitMemory: host.limits.memory,
    limitSwap: host.limits.swap,
    vcpus: spec.vcpus,
    readOnlyRoot: spec.readOnlyRoot,
    cgroupsPath: place.cgroup.path,
    harnessDir: host.harnessDir,
    loader: host.loader,
    filesDir: place.folder,
    hostHasIpv6: host.hasIpv6,
    workspace:
      spec.workspace === null
        ? null
        : { source: join(place.folder, "workspace"), options: workspaceOptions(host.runtime, host.owner, user) },
  });
  const { address } = place.link;
  const { gateway } = host.block;
  await fillBootFolder(place.folder, { ...spec, config, address, gateway });
}

/** The host's own end of the socket goes before anybody dials: it would take a connection that is the harness's. */
async function bootWith(
  host: BootHost,
  place: BootPlace,
  spec: MachineSpec,
  disk: InstanceDisk,
  socket: ListeningSocket,
): Promise<BootOutput> {
  try {
    return await runScript(host, place, spec, disk, socket);
  } finally {
    await socket.close();
  }
}

function runScript(
  host: BootHost,
  place: BootPlace,
  spec: MachineSpec,
  disk: InstanceDisk,
  socket: ListeningSocket,
): Promise<BootOutput> {
  const hybrid = isHybrid(host.layout);
  return runBootScript({
    folder: place.folder,
    runtime: host.runtime.name,
    containerId: spec.instanceId,
    v2Group: (hybrid && place.cgroup.v2) || "",
    hiddenV2: (hybrid && host.runtime.refusesHybridCgroups && host.layout.v2) || "",
    workspace: spec.workspace?.path ?? "",
    workspaceIdentity: spec.workspace?.identity ?? "",
    interfaceName: place.link.interfaceName,
    gateway: host.block.gateway,
    address: place.link.address,
    diskImage: disk.image ?? "",
    listenFd: socket.fd,
  });
}

/** The machine's first process. It must be in the group that pauses and kills it, or both would silently do nothing. */
async function findInit(host: BootHost, place: BootPlace, output: BootOutput): Promise<ProcessIdentity> {
  const pid = Number(await readFile(join(place.folder, "pid"), "utf8"));
  const identity = await identifyProcess(pid);
  if (identity === null) throw harnessEnded(output);
  const groups = (await readFile(`/proc/${pid}/cgroup`, "utf8").catch(() => "")).split("\n");
  const expected = host.layout.v2 === null ? `:${place.cgroup.path}` : `0::${place.cgroup.path}`;
  if (!groups.some((line) => line.endsWith(expected)))
    throw new AegisError(
      "driver_failed",
      `The instance cannot start: ${host.runtime.name} did not put it into its control group ${place.cgroup.path}.`,
    );
  return identity;
}

async function awaitHarness(machine: ContainerMachine, output: BootOutput, signal?: AbortSignal): Promise<void> {
  const deadline = AbortSignal.timeout(PROBE_MS);
  const stop = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
  const stream = await machine.dial(stop);
  const destroy = (): void => void stream.destroy();
  stop.addEventListener("abort", destroy);
  try {
    await probeHarness(stream);
  } catch {
    signal?.throwIfAborted();
    throw harnessEnded(output);
  } finally {
    stop.removeEventListener("abort", destroy);
  }
}

const harnessEnded = (output: BootOutput): AegisError =>
  new AegisError(
    "driver_failed",
    `The instance cannot start: its harness did not come up. ${output.text() || "It said nothing."}`,
  );
