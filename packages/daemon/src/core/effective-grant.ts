import type { Capabilities } from "@aegis/protocol/capability";
import { covers } from "./glob.ts";
import { imagesCover } from "./image-rule.ts";
import { networksCover } from "./network-rule.ts";
import { smallerBudget, treeBudget } from "./tree-budget.ts";

/** The fields that are a ceiling, where absent is 0 and 0 is none. */
export const ceilings = ["spawn_depth", "max_children", "max_memory_mb", "max_vcpus", "max_expose_ports"] as const;

type Covers = (outer: readonly string[], inner: readonly string[]) => boolean;

/** The fields that list what is allowed, and how one list is compared with another. */
export const lists = {
  allowed_images: imagesCover,
  allowed_secrets: covers,
  allowed_workspaces: covers,
  allowed_bindings: covers,
  allowed_network: networksCover,
} satisfies Partial<Record<keyof Capabilities, Covers>>;

export const listNames = Object.keys(lists) as (keyof typeof lists)[];

/** What both grants allow, every field spelled out. Never more than either of them. */
export function meet(one: Capabilities, other: Capabilities): Capabilities {
  const both: Capabilities = { spawn: one.spawn === true && other.spawn === true };
  for (const name of ceilings) both[name] = Math.min(one[name] ?? 0, other[name] ?? 0);
  for (const name of listNames) both[name] = meetLists(lists[name], one[name] ?? [], other[name] ?? []);
  const lifetimes = [one.max_lifetime_s ?? 0, other.max_lifetime_s ?? 0].filter((seconds) => seconds > 0);
  if (lifetimes.length > 0) both.max_lifetime_s = Math.min(...lifetimes);
  return { ...both, tree: smallerBudget(treeBudget(one), treeBudget(other)) };
}

/** What an instance leaves to its children: the same, one level less deep. */
export const oneLevelDown = (grant: Capabilities): Capabilities => ({
  ...grant,
  spawn_depth: Math.max((grant.spawn_depth ?? 0) - 1, 0),
});

/**
 * The entries of each that the other covers. Two globs that only overlap (`a*`, `*b`) have no entry in common: the meet
 * may be less than what both allow, never more.
 */
function meetLists(covered: Covers, one: readonly string[], other: readonly string[]): string[] {
  const common = [...one.filter((entry) => covered(other, [entry])), ...other.filter((entry) => covered(one, [entry]))];
  return [...new Set(common)];
}
