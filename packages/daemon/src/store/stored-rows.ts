import type { SQLOutputValue } from "node:sqlite";
import type { Capabilities } from "@aegis/protocol/capability";
import type { EndpointProtocol, InstanceState } from "@aegis/protocol/instance";
import type {
  EndpointRecord,
  InstanceRecord,
  InstanceSpec,
  LeaseRecord,
  Observation,
} from "../core/instance-record.ts";
import { DEFAULT_DISK_MB } from "../core/instance-spec.ts";
import type { NumberedPowerEntry } from "../core/store.ts";

export type Row = Record<string, SQLOutputValue>;

export const text = (row: Row, column: string): string => String(row[column]);
/** What this store wrote itself: the caller names the writer's type. */
export const json = (row: Row, column: string): unknown => JSON.parse(text(row, column));

export const toEndpoint = (row: Row): EndpointRecord => ({
  guestPort: Number(row["guest_port"]),
  publicPort: Number(row["public_port"]),
  protocol: text(row, "protocol") as EndpointProtocol,
});

export const toLease = (row: Row): LeaseRecord => ({
  id: text(row, "id"),
  reason: text(row, "reason"),
  owner: text(row, "owner"),
  expiresAt: Number(row["expires_at"]),
});

/** What observations that an older daemon wrote lack. */
const newInObservation = {
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
} as const;
const newInSpec = {
  hibernate: true,
  restart: "no",
  pause_hook: null,
  network: { mode: "open" },
  disk_mb: DEFAULT_DISK_MB,
  lifetime_s: null,
  orphans: "stop",
} as const;

export const toPower = (row: Row): NumberedPowerEntry => ({
  seq: Number(row["seq"]),
  since: text(row, "since"),
  state: text(row, "state") as InstanceState,
  reason: text(row, "reason"),
});

export const toRecord = (row: Row): InstanceRecord => ({
  id: text(row, "id"),
  handle: text(row, "handle"),
  parentId: row["parent_id"] === null ? null : text(row, "parent_id"),
  createdAt: text(row, "created_at"),
  spec: { ...newInSpec, ...(json(row, "spec") as InstanceSpec) },
  grant: json(row, "grants") as Capabilities,
  enabled: row["enabled"] === 1,
});

export const toObservation = (row: Row): Observation => ({
  ...newInObservation,
  ...(json(row, "body") as Observation),
});
