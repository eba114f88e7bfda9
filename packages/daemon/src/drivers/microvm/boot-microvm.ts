import { mkdir, open, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { AegisError } from "@aegis/protocol/errors";
import type { MachineSpec } from "../../core/driver.ts";
import type { CgroupLayout } from "../linux/cgroup-layout.ts";
import { fitDiskImage, imagePath, makeDiskImage } from "../linux/disk-image.ts";
import { exists } from "../linux/cgroup-layout.ts";
import { freshFolder } from "../linux/fresh-folder.ts";
import { probeHarness } from "../linux/harness-probe.ts";
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
import {
  type Accelerator,
  GUEST_OVERHEAD_MB,
  QEMU_OVERHEAD_MB,
  INHERITED,
  qemuCommand,
  qemuUser,
} from "./qemu-command.ts";
import { adoptLink, type QemuProcess, sockets, startQemu } from "./qemu-process.ts";
import { QmpClient } from "./qmp-client.ts";
import { prepareMove } from "./hibernation.ts";
import { diskFingerprint, snapshotFolder, type SnapshotFacts, unusable } from "./snapshot-store.ts";
import type { RootfsImages } from "./rootfs-image.ts";
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
/** Without hardware help a boot takes seconds, and many times that where others are at work. */
const BOOT_MS = { kvm: 30_000, tcg: 180_000 } as const;

/** Boots up to a harness that has answered. Leaves its traces when it fails: the caller calls `place.release`. */
export async function bootMicrovm(
  host: MicrovmHost,
  place: BootPlace,
  diskFolder: string,
  spec: MachineSpec,
  signal?: AbortSignal,
): Promise<MicrovmMachine> {
  await freshFolder(place.folder);
  const disk = await openDisk(diskFolder, place.folder, spec.diskMb);
  const launched = await launch(host, place, spec, disk, false, signal);
  return finish(launched, async () => {
    await launched.monitor.execute("cont");
    await awaitHarness(launched, BOOT_MS[host.accelerator], signal);
  });
}

/**
 * Takes up a machine where it was written down, which uses that up. Leaves its traces when it fails.
 * @throws AegisError `snapshot_unusable`
 */
export async function restoreMicrovm(
  host: MicrovmHost,
  place: BootPlace,
  diskFolder: string,
  spec: MachineSpec,
  key: Uint8Array,
  signal?: AbortSignal,
): Promise<MicrovmMachine> {
  await freshFolder(place.folder);
  const snapshot = snapshotFolder(diskFolder);
  const facts = await snapshot.readFacts();
  const memory = await snapshot.takeMemory(key, spec.instanceId);
  const disk = imagePath(diskFolder);
  if (facts.platform !== host.platform) throw unusable("QEMU, the kernel or the harness are others by now");
  if (facts.disk !== (await diskFingerprint(disk))) throw unusable("its disk was changed meanwhile");
  const size = { memoryMb: facts.memoryMb, vcpus: facts.vcpus };
  const launched = await launch(host, place, { ...spec, ...size }, disk, true, signal);
  return finish(launched, async () => {
    await moveIn(launched, memory, signal);
    await launched.monitor.execute("cont");
    await launched.agent.renew(place.link.address, host.block.gateway, new Date());
    await awaitHarness(launched, BOOT_MS[host.accelerator], signal);
  });
}

/** The image is another one when the memory was written over another: the kernel inside would not notice. */
async function launch(
  host: MicrovmHost,
  place: BootPlace,
  spec: MachineSpec,
  disk: string,
  takesUp: boolean,
  signal?: AbortSignal,
): Promise<Launched> {
  const user = await imageUser(spec.rootfs, spec.user);
  const { link, folder, cgroup } = place;
  const { gateway } = host.block;
  const files = guestFiles({ spec, user, loader: host.loader, address: link.address, gateway });
  const [image, , groups] = await Promise.all([
    host.images.of(spec.image.digest, spec.rootfs),
    writeInitramfs(host, folder, files),
    limitMachine(host.layout, cgroup.path, {
      memoryMb: spec.memoryMb + GUEST_OVERHEAD_MB + QEMU_OVERHEAD_MB,
      vcpus: spec.vcpus,
    }),
  ]);
  signal?.throwIfAborted();
  const workspaceSocket =
    spec.workspace === null ? null : await startWorkspace(host, place, groups, spec.workspace, user);
  const command = qemuCommand({
    program: host.qemu,
    accelerator: host.accelerator,
    vmDir: host.vmDir,
    bootFolder: folder,
    image,
    memoryMb: spec.memoryMb,
    vcpus: spec.vcpus,
    interfaceName: link.interfaceName,
    user: qemuUser(link.slot),
    workspaceSocket,
    takesUp,
  });
  const qemu = await startWith(place, groups, disk, command, takesUp);
  return takeUp(host, place, disk, spec, qemu);
}

/** Lets go of the machine when the last steps fail. */
async function finish({ machine, qemu }: Launched, steps: () => Promise<void>): Promise<MicrovmMachine> {
  try {
    await steps();
    return machine;
  } catch (error) {
    machine.forget();
    throw error;
  } finally {
    qemu.close();
  }
}

/** Whatever is wrong with the bytes shows before the machine runs. */
async function moveIn({ monitor, qemu }: Launched, memory: AsyncIterable<Buffer>, signal?: AbortSignal): Promise<void> {
  if (qemu.memory === null) throw new Error("QEMU was not started to take up a machine");
  await prepareMove(monitor);
  const ended = monitor.migrationEnd();
  await monitor.execute("migrate-incoming", { uri: `fd:${INHERITED.memory}` });
  try {
    await pipeline(memory, qemu.memory, signal === undefined ? {} : { signal });
    await ended;
  } catch (error) {
    signal?.throwIfAborted();
    throw unusable(`its memory cannot be used, ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

async function openDisk(folder: string, bootFolder: string, sizeMb: number): Promise<string> {
  const image = imagePath(folder);
  const layers = join(bootFolder, "layers");
  await freshFolder(layers);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (await exists(image)) await fitDiskImage(image, sizeMb);
  else await makeDiskImage(image, sizeMb, layers);
  return image;
}

/** The kernel takes several archives one after the other: what all boots share, and what is this one's. */
async function writeInitramfs({ vmDir }: MicrovmHost, folder: string, files: Buffer): Promise<void> {
  const base = await readFile(join(vmDir, "initramfs.cpio"));
  await writeFile(join(folder, "initramfs.cpio"), Buffer.concat([base, files]), { mode: 0o600 });
}

/** The host's own ends of what QEMU inherits go at once. */
async function startWith(
  place: BootPlace,
  groups: readonly string[],
  disk: string,
  command: string[],
  takesUp: boolean,
): Promise<QemuProcess> {
  await using opened = new AsyncDisposableStack();
  const { harness, agent, monitor } = sockets(place.folder);
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
  return startQemu(place.folder, groups, inherited, command, takesUp);
}

interface Launched {
  qemu: QemuProcess;
  machine: MicrovmMachine;
  monitor: QmpClient;
  agent: GuestAgent;
}

/** From when its monitor answers on it is a machine that a later daemon finds. */
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
  await adoptLink(qemu.pid, link, host.block.gateway);
  const record: MachineRecord = {
    version: 1,
    instanceId: spec.instanceId,
    boot: spec.boot,
    slot: link.slot,
    interfaceName: link.interfaceName,
    network: link.network,
    ...identity,
    hostBootId: await hostBootId(),
  };
  const facts = factsOf(host, spec);
  await writeFile(join(folder, FACTS), JSON.stringify(facts), { mode: 0o600 });
  await writeMachineRecord(folder, record);
  const agent = new GuestAgent(paths.agent);
  const parts = { record, cgroup, folder, diskImage, monitor, agent, release };
  return { machine: new MicrovmMachine({ ...parts, facts }, false), monitor, agent, qemu };
}

async function awaitHarness({ machine, agent, qemu }: Launched, limitMs: number, signal?: AbortSignal): Promise<void> {
  const deadline = AbortSignal.timeout(limitMs);
  const stop = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
  const stream = await machine.dial(stop);
  const end = (): void => void stream.destroy();
  stop.addEventListener("abort", end, { once: true });
  void machine.exited.then(end);
  try {
    await probeHarness(stream);
  } catch {
    signal?.throwIfAborted();
    const why = agent.failure ?? qemu.text();
    throw new AegisError(
      "driver_failed",
      `The instance cannot start: its harness did not come up. ${why || `Nothing came of it for ${limitMs / 1000} s.`}`,
    );
  } finally {
    stop.removeEventListener("abort", end);
  }
}

const died = (qemu: QemuProcess): AegisError =>
  new AegisError("driver_failed", `The virtual machine cannot start: ${qemu.text() || "QEMU ended at once"}`);

const factsOf = (host: MicrovmHost, { memoryMb, vcpus, image }: MachineSpec): Omit<SnapshotFacts, "disk"> => ({
  version: 1,
  platform: host.platform,
  memoryMb,
  vcpus,
  image: image.digest,
});

/** As the boot wrote them, for the next daemon. */
export async function readBootFacts(folder: string): Promise<Omit<SnapshotFacts, "disk">> {
  return JSON.parse(await readFile(join(folder, FACTS), "utf8")) as Omit<SnapshotFacts, "disk">;
}

/** @returns the name of the dynamic loader in the harness's `lib` @throws AegisError `driver_failed` */
export async function findLoader(harnessDir: string): Promise<string> {
  const names = await readdir(join(harnessDir, "lib")).catch(() => []);
  const loader = names.find((name) => /^ld-.*\.so/.test(name));
  if (loader === undefined)
    throw new AegisError(
      "driver_failed",
      `The harness in ${harnessDir} is not complete. Build it again: npm start does.`,
    );
  return loader;
}
