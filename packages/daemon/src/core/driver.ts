import type { Duplex } from "node:stream";
import type { DriverName, InstanceStats } from "@aegis/protocol/instance";
import type { NetworkPolicy, NetworkProtocol } from "@aegis/protocol/network";
import type { Image } from "./images.ts";
import type { OpenWorkspace } from "./workspaces.ts";

/** What a backend can do. What it cannot, it says here: it never pretends. */
export interface DriverFeatures {
  /** a paused machine keeps its memory and goes on where it was */
  pauseKeepsMemory: boolean;
  /** a paused machine can be written to disk and taken up again: {@link Machine.hibernate}, {@link Driver.restore} */
  hibernates: boolean;
  limitsMemory: boolean;
  /** what an instance writes is bounded by its `diskMb` */
  limitsDisk: boolean;
  filtersNetwork: boolean;
  /** memory of a paused machine goes back to the host; changes with the host's swap */
  reclaimsMemory: boolean;
}

/** Everything a backend needs to boot one machine. */
export interface MachineSpec {
  instanceId: string;
  /** generation of this boot; a machine of an older boot is never mistaken for this one */
  boot: number;
  hostname: string;
  /** the image's manifest digest: same digest, same {@link rootfs}; and where a backend keeps what it makes of the image */
  image: Pick<Image, "digest" | "derived">;
  /** unpacked root file system of the image, shared and never written */
  rootfs: string;
  /** `uid[:gid]` or a name from the image's config; empty is root */
  user: string;
  memoryMb: number;
  /** all that the machine may write outside of its workspace; the disk of an earlier boot grows, and never shrinks */
  diskMb: number;
  vcpus: number;
  readOnlyRoot: boolean;
  /** checked; entries as `formatAllowEntry` writes them */
  network: NetworkPolicy;
  /** host folder that is mounted at /workspace, or null; the driver makes sure that what it mounts is the one meant */
  workspace: Pick<OpenWorkspace, "path" | "identity"> | null;
}

/** What machines are alike in that start from the same template. */
export type WarmSpec = Pick<
  MachineSpec,
  "image" | "rootfs" | "user" | "memoryMb" | "diskMb" | "vcpus" | "readOnlyRoot"
>;

/** Why a machine ended, as far as the backend can tell. */
export interface MachineExit {
  /** the kernel killed a process of it for want of memory */
  outOfMemory: boolean;
  /** it had asked for more processes than it may have */
  outOfProcesses?: true;
}

/** What a machine held in memory before and after it was swapped out. */
export interface ReclaimedMemory {
  beforeBytes: number;
  afterBytes: number;
  tookMs: number;
}

/** `nothing` says why nothing could be done. */
export type ReclaimOutcome = ReclaimedMemory | { nothing: string };

/** One booted machine: life, death and a byte stream. */
export interface Machine {
  readonly instanceId: string;
  readonly boot: number;
  /** settles once, when no process of the machine is left, whoever ended it; never rejects */
  readonly exited: Promise<MachineExit>;
  /** Opens a fresh stream to the harness. Rejects with `guest_unreachable` when nobody listens any more. */
  dial(signal?: AbortSignal): Promise<Duplex>;
  /**
   * Opens a stream straight to a TCP port that is open on all addresses of the machine. Of a paused one it is there at once
   * where the host's kernel takes it, or when the machine goes on, if that is soon. Null where the port is not open, or on loopback alone: that takes the harness.
   */
  dialPort(port: number, signal?: AbortSignal): Promise<Duplex | null>;
  /** Stops every process of the machine; idempotent. */
  pause(): Promise<void>;
  /** Undoes {@link pause}; idempotent. */
  resume(): Promise<void>;
  isPaused(): Promise<boolean>;
  /** Ends every process at once and waits until they are gone; idempotent. A paused machine ends too. */
  kill(): Promise<void>;
  /** True once the kernel has killed a process for want of memory in this boot. */
  ranOutOfMemory(): Promise<boolean>;
  /** Removes all that the backend holds for this boot but the instance's disk and what {@link hibernate} wrote; after {@link exited} only; idempotent. */
  remove(): Promise<void>;
  stats(): Promise<InstanceStats>;
  /**
   * Has the memory of a paused machine go back to the host. An abort ends it within milliseconds; it must have settled
   * before anything else is asked of the machine. Absent where the backend has no means.
   */
  reclaim?(signal: AbortSignal): Promise<ReclaimOutcome>;
  /**
   * Writes a paused machine to disk, sealed with `key` (32 bytes), and ends it: none of its memory is held afterwards, and
   * {@link exited} settles. When it cannot, or is aborted, it rejects, and the machine is as it was. Whoever dies in between
   * leaves either a machine that {@link Driver.adopt} finds, or something written that is whole, or neither. Absent where the
   * backend cannot.
   * @throws AegisError `driver_failed` when it is not paused or cannot be written down, `disk_full`
   */
  hibernate?(key: Uint8Array, signal: AbortSignal): Promise<void>;
}

/** Something that an instance tried to reach and may not. */
export interface NetworkRefusal {
  instanceId: string;
  boot: number;
  /** the name that was asked for, or `address:port`; `*` for the many that {@link more} counts */
  destination: string;
  protocol: NetworkProtocol;
  reason: string;
  /** destinations that are not told one by one, since an instance tried so many; else 0 */
  more: number;
}

/** Who hears from a backend what nobody asked for. */
export interface DriverObserver {
  networkRefused(refusal: NetworkRefusal): void;
}

/** A backend. Real ones and the fake pass the same contract suite. */
export interface Driver {
  readonly name: DriverName;
  readonly features: DriverFeatures;
  /** Changes with every boot of the host, which ends all machines. */
  hostBoot(): Promise<string>;
  /** Prepares the host (networks, folders). @throws AegisError `driver_failed` that says what is missing */
  start(observer?: DriverObserver): Promise<void>;
  /**
   * Boots a machine up to a harness that listens. On failure or abort nothing is left behind.
   * @throws AegisError `driver_failed`, `image_invalid`, `disk_full`
   */
  create(spec: MachineSpec, signal?: AbortSignal): Promise<Machine>;
  /**
   * Takes up a machine where {@link Machine.hibernate} left it, as a new boot: `spec.boot` is a generation of its own. What
   * was written is used up, whatever comes of it; on failure or abort nothing else is left behind. The machine runs, with the
   * memory, processors and disk that it had: a `diskMb` that has grown counts from the next {@link create} on.
   * @param onReachable told as soon as it runs as the one that it is from now on and its ports can be dialled, which may be
   * long before its harness answers; when the rest fails, that machine is gone
   * @throws AegisError `snapshot_unusable` that says why; then only {@link create} helps
   */
  restore?(
    spec: MachineSpec,
    key: Uint8Array,
    signal?: AbortSignal,
    onReachable?: (machine: Machine) => void,
  ): Promise<Machine>;
  /** Throws away what {@link Machine.hibernate} wrote. Idempotent. */
  dropSnapshot?(instanceId: string): Promise<void>;
  /**
   * Makes later calls of {@link create} for new instances of the kind faster. Nothing of any instance is in what it makes.
   * Idempotent. Absent where the backend has no means, or no need.
   * @throws AegisError as {@link create}
   */
  warm?(spec: WarmSpec, signal: AbortSignal): Promise<void>;
  /** Machines that outlived the last daemon. What cannot be taken up again is removed and not returned. */
  adopt(): Promise<Machine[]>;
  /** Deletes the instance's writable disk, and what {@link Machine.hibernate} wrote. No machine of the instance may be alive. Idempotent. */
  discard(instanceId: string): Promise<void>;
  /** Gives back what {@link start} took from the host, as far as no machine needs it. Machines go on running. */
  close(): Promise<void>;
}
