import type { InstanceStats, InstanceView } from "@aegis/protocol/instance";
import type { Lease } from "@aegis/protocol/lease";
import type { NetworkPolicy } from "@aegis/protocol/network";
import { bindingsText } from "./binding-text.ts";
import { humanSize } from "./human-size.ts";
import { humanAgo, humanDuration } from "./human-time.ts";
import type { Palette } from "./palette.ts";
import { powerHistoryText } from "./power-history-text.ts";
import { fields, table } from "./table.ts";
import { grantText, treeText } from "./tree-text.ts";

/** The state as people read it: a stopped instance that nothing may wake is `disabled`. */
function stateText(instance: InstanceView, palette: Palette): string {
  if (!instance.enabled) return palette.dim("disabled");
  switch (instance.state) {
    case "running":
      return palette.green("running");
    case "starting":
      return palette.yellow("starting");
    case "paused":
      return palette.blue("paused");
    case "hibernated":
      return palette.blue("hibernated");
    case "stopped":
      return palette.dim("stopped");
    case "failed":
      return palette.red("failed");
  }
}

export function instanceTable(instances: InstanceView[], palette: Palette, now: number): string {
  const rows = instances.map((one) => [
    one.parent_id === null ? one.handle : `${one.handle} ${palette.dim("(child)")}`,
    stateText(one, palette),
    shortRef(one.image_ref),
    `${one.memory_mb} MB`,
    one.endpoints.map((endpoint) => `${endpoint.public_port}:${endpoint.guest_port}`).join(", ") || "-",
    humanAgo(one.last_active_at, now),
  ]);
  return table(["NAME", "STATE", "IMAGE", "MEMORY", "PORTS", "ACTIVE"], rows);
}

export function instanceDetails(one: InstanceView, palette: Palette, now: number): string {
  return fields([
    ["name", palette.bold(one.handle)],
    ["id", one.id],
    ["state", stateText(one, palette)],
    ["failure", one.failure],
    ["exit code", one.exit_code === null ? null : String(one.exit_code)],
    ["command", one.command.map(quoted).join(" ")],
    ["image", one.image_ref + (one.image_digest === null ? "" : `  ${palette.dim(one.image_digest)}`)],
    ["size", `${one.memory_mb} MB, ${one.vcpus} vcpus, ${one.disk_mb} MB of disk, ${one.driver}`],
    ["uses", one.stats === null ? null : usageText(one.stats)],
    ["network", networkText(one.network)],
    ["workspace", one.workspace],
    ["endpoints", one.endpoints.map((endpoint) => `${endpoint.url} -> ${endpoint.guest_port}`).join(", ") || null],
    ["bindings", bindingsText(one.bindings ?? [])],
    ["secrets", one.secret_keys.join(", ") || null],
    ["idle", powerText(one)],
    ["wakes", one.wake_at === null ? null : humanWake(one.wake_at, now)],
    ["leases", one.leases.map((lease) => leaseText(lease, now)).join(", ") || null],
    ["history", powerHistoryText(one.power_history ?? [], now)],
    ["parent", one.parent_id],
    ["may", Object.keys(one.capabilities).length === 0 ? null : grantText(one.capabilities)],
    ["below it", one.tree === undefined ? null : treeText(one.tree)],
    ["ends", one.expires_at === null ? null : humanEnd(one.expires_at, now)],
    ["connections", String(one.active_connections)],
    ["created", humanAgo(one.created_at, now)],
    ["active", humanAgo(one.last_active_at, now)],
    ["stopped", one.stopped_at === null ? null : humanAgo(one.stopped_at, now)],
  ]);
}

function humanEnd(expiresAt: string, now: number): string {
  const left = (Date.parse(expiresAt) - now) / 1000;
  return left <= 0 ? "its lifetime is over" : `in ${humanDuration(left)}, for good`;
}

function humanWake(wakeAt: string, now: number): string {
  const left = (Date.parse(wakeAt) - now) / 1000;
  return left <= 0 ? "now, as it asked for" : `in ${humanDuration(left)}, as it asked for`;
}

const leaseText = ({ reason, owner, lease_id, expires_at }: Lease, now: number) =>
  `${reason} (${lease_id} of ${owner === "host" ? "the host" : "its own"}, ${humanDuration((Date.parse(expires_at) - now) / 1000)} left)`;

const networkText = ({ mode, allow = [] }: NetworkPolicy) => (mode === "allowlist" ? `only ${allow.join(", ")}` : mode);

/** When it sleeps and starts again. */
export function powerText(one: InstanceView): string {
  const policy = [
    one.idle_policy === "leases_only" ? ", only leases count" : "",
    one.pause_hook === null ? "" : ", is asked before",
    one.restart === "no" ? "" : `; restarts ${one.restart === "always" ? "always" : "on failure"}`,
  ].join("");
  if (one.pause_after_idle_s === null) return `never pauses${policy}`;
  const end = one.hibernate ? "hibernates or stops" : "stops";
  const stop =
    one.stop_after_paused_s === null ? "never stops" : `${end} ${humanDuration(one.stop_after_paused_s)} later`;
  return `pauses after ${humanDuration(one.pause_after_idle_s)}, ${stop}${policy}`;
}

const usageText = (stats: InstanceStats) =>
  `${humanSize(stats.memory_bytes)}${stats.swapped_bytes === 0 ? "" : ` (${humanSize(stats.swapped_bytes)} swapped out)`}, ${(stats.cpu_ms / 1000).toFixed(1)} s of CPU, ${stats.processes} processes${stats.disk_bytes === null ? "" : `, ${humanSize(stats.disk_bytes)} of disk`}`;

/** Docker's own registry and namespace are not worth their room. */
export const shortRef = (ref: string) => ref.replace(/^docker\.io\/(library\/)?/, "");

const quoted = (word: string) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);
