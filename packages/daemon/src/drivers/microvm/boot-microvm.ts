import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { AegisError } from "@aegis/protocol/errors";
import type { MachineSpec } from "../../core/driver.ts";
import { exists } from "../linux/cgroup-layout.ts";
import { fitDiskImage, imagePath, makeDiskImage } from "../linux/disk-image.ts";
import { freshFolder } from "../linux/fresh-folder.ts";
import { probeHarness } from "../linux/harness-probe.ts";
import type { BootPlace } from "../linux/machine-places.ts";
import { prepareMove } from "./hibernation.ts";
import { type Beginning, launch, type Launched, type MicrovmHost, register } from "./launch-microvm.ts";
import { limitProcessors } from "./machine-limits.ts";
import type { MicrovmMachine } from "./microvm-machine.ts";
import { INHERITED } from "./qemu-command.ts";
import {
  diskFingerprint,
  sealingOf,
  type SealedMemory,
  type SnapshotFacts,
  type SnapshotFolder,
  snapshotFolder,
  unusable,
  type WrittenMachine,
} from "./snapshot-store.ts";
import type { Template } from "./templates.ts";

/** Without hardware help a boot takes seconds, and many times that where others are at work. */
const BOOT_MS = { kvm: 30_000, tcg: 180_000 } as const;

/** Boots up to a harness that has answered. Leaves its traces when it fails: the caller calls `place.release`. */
export async function bootMicrovm(
  host: MicrovmHost,
  place: BootPlace,
  diskFolder: string,
  spec: MachineSpec,
  beginning: Exclude<Beginning, SealedMemory>,
  signal?: AbortSignal,
): Promise<MicrovmMachine> {
  await freshFolder(place.folder);
  const disk = await openDisk(diskFolder, place.folder, spec.diskMb);
  const launched = await launch(host, place, spec, disk, beginning, signal);
  return finish(launched, async () => {
    await limitProcessors(host.layout, place.cgroup.path, spec.vcpus);
    await launched.monitor.execute("cont");
    await launched.linked;
    await register(launched, place.folder);
    const limitMs = BOOT_MS[host.accelerator];
    await Promise.all([awaitHarness(launched, limitMs, signal), launched.agent.ready(limitMs)]);
  });
}

export interface Restoring {
  key: Uint8Array;
  signal: AbortSignal | undefined;
  /** as of {@link Driver.restore} */
  onReachable: ((machine: MicrovmMachine) => void) | undefined;
}

/**
 * Takes up a machine where it was written down, which uses that up. Leaves its traces when it fails. Whoever dies in
 * between leaves what was written as long as nothing has run, and from then on a machine that a later daemon finds;
 * a host that goes down in between leaves nothing to take up.
 * @throws AegisError `snapshot_unusable`
 */
export async function restoreMicrovm(
  host: MicrovmHost,
  place: BootPlace,
  diskFolder: string,
  spec: MachineSpec,
  { key, signal, onReachable }: Restoring,
): Promise<MicrovmMachine> {
  const snapshot = snapshotFolder(diskFolder);
  let isUsedUp = false;
  let claimed = Promise.resolve();
  const useUp = async (): Promise<void> => {
    await claimed;
    await snapshot.useUp();
    isUsedUp = true;
  };
  try {
    await freshFolder(place.folder);
    const disk = imagePath(diskFolder);
    const { memoryMb, vcpus, id } = await usableFacts(host, snapshot, disk);
    // the disk takes its time for that, so it is begun with
    claimed = snapshot.claim();
    const written = await snapshot.open(sealingOf(key, spec.instanceId, id));
    const taken = { ...spec, memoryMb, vcpus };
    const launched = await launch(host, place, taken, disk, written.memory, signal);
    return await finish(launched, async () => {
      await moveIn(launched, written, signal);
      await goOn(launched, host, place, taken, { beforeItRuns: useUp, signal, onReachable });
    });
  } finally {
    await claimed;
    // what stays of one that was used up is of no use to anybody, and the machine runs
    await snapshot.drop().catch((error: unknown) => {
      if (!isUsedUp) throw error;
    });
  }
}

/**
 * Makes a machine of a template and a disk of its own, which is a copy of the template's. Leaves its traces when it fails.
 * @throws AegisError `snapshot_unusable` when the template is of no use
 */
export async function startFromTemplate(
  host: MicrovmHost,
  place: BootPlace,
  diskFolder: string,
  spec: MachineSpec,
  template: Template,
  signal?: AbortSignal,
): Promise<MicrovmMachine> {
  await freshFolder(place.folder);
  const [written, disk] = await Promise.all([template.open(), template.copyDisk(diskFolder)]);
  const launched = await launch(host, place, spec, disk, written.memory, signal);
  return await finish(launched, async () => {
    await moveIn(launched, written, signal);
    await goOn(launched, host, place, spec, { signal });
  });
}

interface GoingOn {
  /** what must have happened before */
  beforeItRuns?: () => Promise<void>;
  signal: AbortSignal | undefined;
  onReachable?: Restoring["onReachable"];
}

/** Lets a machine that was taken up go on, as the one that it is from now on. */
async function goOn(
  launched: Launched,
  host: MicrovmHost,
  place: BootPlace,
  { hostname, vcpus }: MachineSpec,
  { beforeItRuns, signal, onReachable }: GoingOn,
): Promise<void> {
  const { agent, monitor, machine } = launched;
  const became = agent.become({ hostname, address: place.link.address, gateway: host.block.gateway });
  became.catch(() => undefined);
  await limitProcessors(host.layout, place.cgroup.path, vcpus);
  await launched.linked;
  await register(launched, place.folder);
  await beforeItRuns?.();
  await monitor.execute("cont");
  const limitMs = BOOT_MS[host.accelerator];
  await became;
  onReachable?.(machine);
  // its harness last, since that is the most work, and somebody may wait for its server
  await agent.setClock(limitMs);
  await awaitHarness(launched, limitMs, signal);
}

async function usableFacts(host: MicrovmHost, snapshot: SnapshotFolder, disk: string): Promise<SnapshotFacts> {
  const facts = await snapshot.readFacts();
  if (facts.platform !== host.platform) throw unusable("QEMU, the kernel or the harness are others by now");
  if (facts.disk !== (await diskFingerprint(disk))) throw unusable("its disk was changed meanwhile");
  return facts;
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

/** Whatever is wrong with what was written shows here, before the machine runs. */
async function moveIn({ monitor, qemu }: Launched, { devices }: WrittenMachine, signal?: AbortSignal): Promise<void> {
  if (qemu.taking === null) throw new Error("QEMU was not started to take up a machine");
  await prepareMove(monitor);
  try {
    // as a whole, and behind the memory: QEMU gets nothing of it before all was checked
    const [state] = await Promise.all([buffer(devices), qemu.taking.filled]);
    signal?.throwIfAborted();
    const ended = monitor.migrationEnd();
    await monitor.execute("migrate-incoming", { uri: `fd:${INHERITED.devices}` });
    qemu.taking.devices.end(state);
    await ended;
  } catch (error) {
    signal?.throwIfAborted();
    const why = [error instanceof Error ? error.message : String(error), qemu.text()].filter((text) => text !== "");
    throw unusable(`its memory cannot be used, ${why.join("; ")}`, error);
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
