import type { DriverName, Endpoint, InstanceStats, InstanceView } from "@aegis/protocol/instance";
import type { Lease } from "@aegis/protocol/lease";
import type { InstanceRecord, Observation } from "./instance-record.ts";

export interface ViewParts {
  record: InstanceRecord;
  /** that of the daemon, which may have been another one when the instance was made */
  driver: DriverName;
  observation: Observation;
  endpoints: Endpoint[];
  leases: Lease[];
  connections: number;
  lastActiveAt: string;
  /** ms since the epoch */
  expiresAt: number | null;
  secretKeys: string[];
  stats: InstanceStats | null;
}

/** What the API says of an instance. */
export function toInstanceView(parts: ViewParts): InstanceView {
  const { record, observation, leases } = parts;
  const { spec } = record;
  const latest = leases.toSorted((a, b) => a.expires_at.localeCompare(b.expires_at)).at(-1);
  return {
    id: record.id,
    handle: record.handle,
    state: observation.state,
    enabled: record.enabled,
    command: spec.command,
    image_ref: spec.image_ref,
    image_digest: observation.imageDigest,
    kit: spec.kit,
    workspace: spec.workspace,
    idle_policy: spec.idle_policy,
    pause_after_idle_s: spec.pause_after_idle_s,
    stop_after_paused_s: spec.stop_after_paused_s,
    hibernate: spec.hibernate,
    restart: spec.restart,
    restart_at: observation.restartAt,
    wake_at: observation.wakeAt,
    lifetime_s: spec.lifetime_s,
    expires_at: parts.expiresAt === null ? null : new Date(parts.expiresAt).toISOString(),
    orphans: spec.orphans,
    pause_hook: spec.pause_hook,
    memory_mb: spec.memory_mb,
    disk_mb: spec.disk_mb,
    vcpus: spec.vcpus,
    network: spec.network,
    driver: parts.driver,
    parent_id: record.parentId,
    capabilities: record.grant,
    created_at: record.createdAt,
    last_active_at: parts.lastActiveAt,
    stopped_at: observation.stoppedAt,
    exit_code: observation.exitCode,
    failure: observation.failure,
    active_connections: parts.connections,
    expose_ports: parts.endpoints.map((endpoint) => endpoint.guest_port),
    endpoints: parts.endpoints,
    secret_keys: parts.secretKeys,
    leases,
    lease_held: leases.length > 0,
    lease_reason: latest?.reason ?? null,
    lease_expires_at: latest?.expires_at ?? null,
    stats: parts.stats,
  };
}
