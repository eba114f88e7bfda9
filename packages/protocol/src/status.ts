import type { DriverName, InstanceState } from "./instance.ts";

/** `GET /v1/status` */
export interface DaemonStatus {
  status: "running";
  version: string;
  /** the driver that new instances get */
  backend: DriverName;
  /** why it is that one, as half a sentence */
  backend_reason: string;
  /** what the backend can do */
  capabilities: Record<string, boolean>;
  pid: number;
  home: string;
  uptime_s: number;
  instances: Record<InstanceState, number>;
  /** port of the HTTP router, null where it could not be opened */
  router_port: number | null;
  default_image: string;
  audit: AuditHealth;
  disk: DiskStatus;
}

/** The disk with the least room of those that hold the home and its images. */
export interface DiskStatus {
  path: string;
  /** less room than the floor, or more used than the budget */
  low: boolean;
  free_bytes: number;
  floor_bytes: number;
  /** by images, instances, logs and the database, as measured last; null before the first time */
  used_bytes: number | null;
  /** null for none */
  budget_bytes: number | null;
}

/** Whether the audit log takes everything. */
export interface AuditHealth {
  last_seq: number;
  /** what keeps entries from the disk; null when all of them are written */
  problem: string | null;
  /** entries that were given up since the daemon started, because the disk took none for too long */
  lost: number;
}
