import type { Capabilities } from "@aegis/protocol/capability";
import type { TreeView } from "@aegis/protocol/instance";
import { humanSize } from "./human-size.ts";

/** What a grant comes to, in a few words. */
export function grantText({ spawn, spawn_depth = 0, max_children = 0, max_expose_ports = 0 }: Capabilities): string {
  const ports = max_expose_ports === 0 ? "" : `, ${max_expose_ports} ${max_expose_ports === 1 ? "port" : "ports"} each`;
  if (spawn !== true || spawn_depth === 0) return `create no instances${ports}`;
  const levels = spawn_depth === 1 ? "" : `, ${spawn_depth} levels deep`;
  return `have ${max_children} ${max_children === 1 ? "child" : "children"}${levels}${ports}`;
}

/** What is below an instance, and what there is left; null when there is and can be nothing. */
export function treeText({ used, left, children, stats }: TreeView): string | null {
  if (used.instances === 0) return left.instances === 0 ? null : `none, ${leftText(left)}`;
  const deeper = used.instances > children ? `, ${children} of them its own` : "";
  const takes = `${used.memory_mb} MB, ${used.vcpus} vcpus, ${used.disk_mb} MB of disk`;
  const all = `${humanSize(stats.memory_bytes)} and ${(stats.cpu_ms / 1000).toFixed(1)} s of CPU with itself`;
  return `${used.instances}${deeper}: ${takes}; ${all}; ${leftText(left)}`;
}

const leftText = (left: TreeView["left"]): string =>
  `${left.instances} more with ${left.memory_mb} MB, ${left.vcpus} vcpus, ${left.disk_mb} MB of disk left`;
