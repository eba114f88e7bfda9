import type { Capabilities } from "@aegis/protocol/capability";
import type { Binding } from "@aegis/protocol/binding";
import type {
  EndpointProtocol,
  IdlePolicy,
  InstanceState,
  OrphanPolicy,
  PauseHook,
  RestartPolicy,
} from "@aegis/protocol/instance";
import type { NetworkPolicy } from "@aegis/protocol/network";
import type { WakeTimes } from "./wake-request.ts";

/** One that a parent handed down only says its name and port: what it is follows from the parent, at every request. */
export type StoredBinding = Binding & { inherited?: true };

/** What was asked for, with every default filled in. */
export interface InstanceSpec {
  command: string[];
  image_ref: string;
  env: Record<string, string>;
  /** `name`, `ENV=name` or `*` */
  secrets: string[];
  /** a name, or an absolute host path */
  workspace: string | null;
  memory_mb: number;
  disk_mb: number;
  vcpus: number;
  idle_policy: IdlePolicy;
  pause_after_idle_s: number | null;
  stop_after_paused_s: number | null;
  /** on disk instead of stopped after that, where the driver can */
  hibernate: boolean;
  restart: RestartPolicy;
  /** from its creation; null: no end */
  lifetime_s: number | null;
  /** what becomes of its children when it ends */
  orphans: OrphanPolicy;
  pause_hook: PauseHook | null;
  read_only_root: boolean;
  network: NetworkPolicy;
  bindings: StoredBinding[];
  kit: string | null;
}

/** What the daemon wants of an instance. */
export interface InstanceRecord {
  readonly id: string;
  readonly handle: string;
  readonly parentId: string | null;
  readonly createdAt: string;
  spec: InstanceSpec;
  /** the host's own word on what the instance may do; the token only repeats it */
  grant: Capabilities;
  /** a disabled instance is not woken by a connection */
  enabled: boolean;
}

/** What the daemon last saw of an instance. */
export interface Observation {
  state: InstanceState;
  /** generation of the newest boot; 0 before the first */
  boot: number;
  imageDigest: string | null;
  lastActiveAt: string;
  stoppedAt: string | null;
  exitCode: number | null;
  failure: string | null;
  /** whether it is meant to run, be paused or stay down, whatever becomes of its machine */
  wanted: "running" | "paused" | "stopped";
  /** when the pause began that is going on; null when none is */
  pausedAt: string | null;
  /** its memory may be on disk, to be taken up by the next boot: so from before it is written until that is used or dropped */
  snapshot: boolean;
  /** the boot in which the workload began that has been taken up since; null: in `boot` */
  beganAs: number | null;
  /** the boot of the host in which `boot` was made: with a new one every machine is gone */
  hostBoot: string | null;
  /** when the restart policy starts it again; null when it does not */
  restartAt: string | null;
  /** the workload agreed to a pause and has not been told yet that it is over; `token` is what it answered */
  agreed: { token: string | null } | null;
  /** when it asked to be woken from the pause it agreed to, RFC 3339; null: it did not, or that is over */
  wakeAt: string | null;
  /** when it is booted for that, should it be stopped by then: it takes its time */
  bootAt: string | null;
  /** it has ended, and its children, which end with it, perhaps not yet */
  endsBelow: boolean;
}

/** Before the first boot. */
export const newObservation = (now: string): Observation => ({
  state: "stopped",
  boot: 0,
  imageDigest: null,
  lastActiveAt: now,
  stoppedAt: null,
  exitCode: null,
  failure: null,
  wanted: "stopped",
  pausedAt: null,
  snapshot: false,
  beganAs: null,
  hostBoot: null,
  restartAt: null,
  agreed: null,
  wakeAt: null,
  bootAt: null,
  endsBelow: false,
});

export const notWoken = { wakeAt: null, bootAt: null } as const;

/** Nothing will start it by itself. */
export const nothingAhead = { restartAt: null, ...notWoken } as const;

export const wakeOf = ({ wakeAt, bootAt }: Observation): WakeTimes => ({ wakeAt, bootAt });

/** What a boot forgets of the one before that it goes on with: not what that one was promised when it went to sleep. */
export const takenUpBoot = { restartAt: null, exitCode: null, failure: null, stoppedAt: null, pausedAt: null } as const;

/** What a boot from the beginning forgets of the one before. */
export const freshBoot = { ...takenUpBoot, ...nothingAhead, agreed: null, snapshot: false, beganAs: null } as const;

/** The boot in which the workload began: its harness has numbered the lines of the log since then. */
export const beganIn = ({ boot, beganAs }: Pick<Observation, "boot" | "beganAs">): number => beganAs ?? boot;

/** It will start by itself, or wake. */
export const isExpected = ({ restartAt, wakeAt }: Observation): boolean => restartAt !== null || wakeAt !== null;

export interface EndpointRecord {
  guestPort: number;
  publicPort: number;
  protocol: EndpointProtocol;
}

export interface LeaseRecord {
  id: string;
  reason: string;
  /** `host`, or the id of the instance itself */
  owner: string;
  /** ms since the epoch */
  expiresAt: number;
}
