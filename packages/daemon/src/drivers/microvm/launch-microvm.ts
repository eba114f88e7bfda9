import { open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import type { MachineSpec } from "../../core/driver.ts";
import type { CgroupLayout } from "../linux/cgroup-layout.ts";
import { listenForHarness } from "../linux/harness-socket.ts";
import type { HostUser } from "../linux/host-user.ts";
import { imageUser } from "../linux/image-user.ts";
import type { BootPlace } from "../linux/machine-places.ts";
import { writeMachineRecord, type MachineRecord } from "../linux/machine-record.ts";
import type { AddressBlock } from "../linux/network/address-block.ts";
import { hostBootId, identifyProcess } from "../linux/process-identity.ts";
import { GuestAgent } from "./guest-agent.ts";
import { guestFiles } from "./guest-files.ts";
import { limitMachine } from "./machine-limits.ts";
import { MicrovmMachine } from "./microvm-machine.ts";
import { type Accelerator, guestMemoryMb, QEMU_OVERHEAD_MB, qemuCommand, qemuUser } from "./qemu-command.ts";
import { adoptLink, type QemuProcess, type QemuStart, sockets, startQemu } from "./qemu-process.ts";
import { QmpClient } from "./qmp-client.ts";
import type { RootfsImages } from "./rootfs-image.ts";
import type { BootFacts, SealedMemory } from "./snapshot-store.ts";
import { startWorkspace } from "./workspace-share.ts";

/** What is the same for every boot of a home. */
export interface MicrovmHost {
  accelerator: Accelerator;
  qemu: string;
  virtiofsd: string | null;
  layout: CgroupLayout;
  block: AddressBlock;
  vmDir: string;
  loader: string;
  owner: HostUser;
  images: RootfsImages;
  /** names QEMU, its accelerator, kernel and harness: a machine that was written down fits the same ones only */
  platform: string;
}

const FACTS = "facts.json";
const INITRAMFS = "initramfs.cpio";

/** A virtual machine that stands still and has a monitor. */
export interface Launched {
  qemu: QemuProcess;
  machine: MicrovmMachine;
  monitor: QmpClient;
  agent: GuestAgent;
  /** once its network is the host's to rule over: before that it must not run on */
  linked: Promise<void>;
  record: MachineRecord;
  facts: BootFacts;
}

/** How a machine begins: booted as somebody or as nobody yet, or with the memory of another. */
export type Beginning = "boots" | "boots as nobody" | SealedMemory;

/** The image is another one when the memory was written over another: the kernel inside would not notice. */
export async function launch(
  host: MicrovmHost,
  place: BootPlace,
  spec: MachineSpec,
  disk: string,
  beginning: Beginning,
  signal?: AbortSignal,
): Promise<Launched> {
  const memory = typeof beginning === "string" ? null : beginning;
  const user = await imageUser(spec.rootfs, spec.user);
  const { link, folder, cgroup } = place;
  const { gateway } = host.block;
  const files = guestFiles({
    spec,
    user,
    loader: host.loader,
    network: beginning === "boots" ? { address: link.address, gateway } : null,
  });
  const [image, initramfs, groups] = await Promise.all([
    host.images.of(spec.image.derived, spec.rootfs),
    memory !== null ? null : writeInitramfs(host, folder, files),
    limitMachine(host.layout, cgroup.path, guestMemoryMb(spec.memoryMb) + QEMU_OVERHEAD_MB),
  ]);
  signal?.throwIfAborted();
  const workspaceSocket =
    spec.workspace === null ? null : await startWorkspace(host, place, groups, spec.workspace, user);
  const command = qemuCommand({
    program: host.qemu,
    accelerator: host.accelerator,
    vmDir: host.vmDir,
    initramfs,
    image,
    memoryMb: spec.memoryMb,
    vcpus: spec.vcpus,
    interfaceName: link.interfaceName,
    user: qemuUser(link.address),
    workspaceSocket,
  });
  const memoryMb = guestMemoryMb(spec.memoryMb);
  const qemu = await startWith(disk, { folder, groups, command, memoryMb, memory });
  return takeUp(host, place, disk, spec, qemu);
}

/** The kernel takes several archives one after the other: what all boots share, and what is this one's. */
async function writeInitramfs({ vmDir }: MicrovmHost, folder: string, files: Buffer): Promise<string> {
  const path = join(folder, INITRAMFS);
  await writeFile(path, Buffer.concat([await readFile(join(vmDir, INITRAMFS)), files]), { mode: 0o600 });
  return path;
}

/** The host's own ends of what QEMU inherits go at once. */
async function startWith(disk: string, start: Omit<QemuStart, "inherited">): Promise<QemuProcess> {
  await using opened = new AsyncDisposableStack();
  const { harness, agent, monitor } = sockets(start.folder);
  const inherited = { sockets: [] as number[], disk: [] as number[] };
  for (const path of [harness, agent, monitor]) {
    const socket = await listenForHarness(path);
    opened.defer(() => socket.close());
    inherited.sockets.push(socket.fd);
  }
  for (const mode of ["r+", "r"]) {
    const file = opened.use(await open(disk, mode));
    inherited.disk.push(file.fd);
  }
  return startQemu({ ...start, inherited });
}

async function takeUp(
  host: MicrovmHost,
  place: BootPlace,
  diskImage: string,
  spec: MachineSpec,
  qemu: QemuProcess,
): Promise<Launched> {
  const { folder, link, cgroup, release } = place;
  const paths = sockets(folder);
  const monitor = await QmpClient.connect(paths.monitor).catch(async () => {
    await qemu.ended;
    throw died(qemu);
  });
  const identity = await identifyProcess(qemu.pid);
  if (identity === null) throw died(qemu);
  const linked = adoptLink(qemu.pid, link, host.block.gateway);
  linked.catch(() => undefined);
  const record: MachineRecord = {
    version: 1,
    driver: "microvm",
    instanceId: spec.instanceId,
    boot: spec.boot,
    slot: link.slot,
    interfaceName: link.interfaceName,
    network: link.network,
    ...identity,
    hostBootId: await hostBootId(),
  };
  const facts = factsOf(host, link.address, spec);
  const agent = new GuestAgent(paths.agent);
  const user = qemuUser(link.address);
  const parts = { record, cgroup, folder, facts, user, address: link.address, diskImage, monitor, agent, release };
  return { machine: new MicrovmMachine(parts, false), monitor, agent, qemu, linked, record, facts };
}

/** From here on it is a machine that a later daemon finds. */
export async function register({ record, facts }: Launched, folder: string): Promise<void> {
  await writeFile(join(folder, FACTS), JSON.stringify(facts), { mode: 0o600 });
  await writeMachineRecord(folder, record);
}

const died = (qemu: QemuProcess): AegisError =>
  new AegisError("driver_failed", `The virtual machine cannot start: ${qemu.text() || "QEMU ended at once"}`);

const factsOf = (host: MicrovmHost, address: string, { memoryMb, vcpus, image }: MachineSpec): BootFacts => ({
  version: 2,
  platform: host.platform,
  memoryMb,
  vcpus,
  image: image.digest,
  address,
});

/** As the boot wrote them, for the next daemon. */
export async function readBootFacts(folder: string): Promise<BootFacts> {
  return JSON.parse(await readFile(join(folder, FACTS), "utf8")) as BootFacts;
}
