import type { Capabilities } from "@aegis/protocol/capability";
import { refuse } from "./capability-refusal.ts";
import { DEFAULT_DISK_MB } from "./instance-spec.ts";
import type { InstanceSpec } from "./instance-record.ts";

/** What instances take of a budget, or what there is of it. Stopped ones count too: they may start at any time. */
export interface TreeAmounts {
  instances: number;
  memory_mb: number;
  vcpus: number;
  disk_mb: number;
}

export const budgetFields = [
  "instances",
  "memory_mb",
  "vcpus",
  "disk_mb",
] as const satisfies readonly (keyof TreeAmounts)[];

const each = (of: (field: keyof TreeAmounts) => number): TreeAmounts => ({
  instances: of("instances"),
  memory_mb: of("memory_mb"),
  vcpus: of("vcpus"),
  disk_mb: of("disk_mb"),
});

/** A budget that the grant does not name is what the children that it allows may take at most. */
export function treeBudget(grant: Capabilities): TreeAmounts {
  const children = grant.max_children ?? 0;
  const implied: TreeAmounts = {
    instances: children,
    memory_mb: children * (grant.max_memory_mb ?? 0),
    vcpus: children * (grant.max_vcpus ?? 0),
    disk_mb: children * DEFAULT_DISK_MB,
  };
  return each((field) => grant.tree?.[field] ?? implied[field]);
}

export const smallerBudget = (one: TreeAmounts, other: TreeAmounts): TreeAmounts =>
  each((field) => Math.min(one[field], other[field]));

export const amountsOf = ({ memory_mb, vcpus, disk_mb }: InstanceSpec): TreeAmounts => ({
  instances: 1,
  memory_mb,
  vcpus,
  disk_mb,
});

/** What is left; never less than 0, though a budget may be smaller than what was taken before it shrank. */
export const leftOf = (budget: TreeAmounts, used: TreeAmounts): TreeAmounts =>
  each((field) => Math.max(rounded(budget[field] - used[field]), 0));

/** Tenths of a vcpu do not add up to whole ones as they are. */
const rounded = (value: number): number => Math.round(value * 1e6) / 1e6;

/** @throws CapabilityRefusal when `wanted` is more than what is left */
export function checkBudget(left: TreeAmounts, wanted: TreeAmounts): void {
  for (const field of budgetFields)
    if (wanted[field] > left[field])
      refuse(`tree.${field}`, `${wanted[field]} ${unitOf[field]} asked, ${left[field]} of the budget left`);
}

const unitOf: Record<keyof TreeAmounts, string> = {
  instances: "instance",
  memory_mb: "MB of memory",
  vcpus: "vcpus",
  disk_mb: "MB of disk",
};
