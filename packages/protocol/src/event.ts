import type { CapabilityName } from "./capability.ts";
import type { InstanceState } from "./instance.ts";
import type { DiskStatus } from "./status.ts";
import type { NetworkProtocol } from "./network.ts";

/** Everything that `GET /v1/events` can say. `seq` grows by one and survives a daemon restart. */
export type EventBody =
  | { type: "instance.created"; instance_id: string; handle: string; parent_id: string | null }
  | { type: "instance.state"; instance_id: string; handle: string; state: InstanceState; reason: string }
  | { type: "instance.deleted"; instance_id: string; handle: string }
  | { type: "instance.updated"; instance_id: string; handle: string; fields: string[] }
  | { type: "instance.pause_postponed"; instance_id: string; handle: string; reason: string }
  | {
      /** of a paused instance went back to the host */
      type: "instance.memory";
      instance_id: string;
      handle: string;
      before_bytes: number;
      after_bytes: number;
      took_ms: number;
    }
  | { type: "instance.boot_progress"; instance_id: string; handle: string; message: string }
  | { type: "endpoint.opened"; instance_id: string; guest_port: number; public_port: number }
  | { type: "endpoint.closed"; instance_id: string; guest_port: number; public_port: number }
  | { type: "lease.acquired"; instance_id: string; lease_id: string; reason: string }
  | { type: "lease.released"; instance_id: string; lease_id: string; why: "released" | "expired" | "stopped" }
  | {
      /** a destination is told once a minute */
      type: "network.refused";
      instance_id: string;
      handle: string;
      /** a name, or `address:port`; `*` stands for `more` that are not told one by one */
      destination: string;
      protocol: NetworkProtocol;
      reason: string;
      more: number;
    }
  | { type: "capability.refused"; instance_id: string; what: string; capability: CapabilityName; reason: string }
  | { type: "secret.changed"; name: string; action: "set" | "deleted" }
  | ({ type: "disk.low"; advice: string } & Omit<DiskStatus, "low">)
  | ({ type: "disk.ok" } & Omit<DiskStatus, "low">);

export type AegisEvent = EventBody & { seq: number; ts: string };
