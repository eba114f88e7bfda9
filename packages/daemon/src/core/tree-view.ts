import type { InstanceStats, TreeView } from "@aegis/protocol/instance";
import type { Family } from "./family.ts";
import type { Instance } from "./instance.ts";
import type { Rights } from "./spawning.ts";
import type { Store } from "./store.ts";

/** What an instance and all below it come to. */
export async function treeView(
  instance: Instance,
  { children: children_left, left }: Rights,
  { family, store }: { family: Family<Instance>; store: Pick<Store, "usedBelow"> },
): Promise<TreeView> {
  const { children, ...used } = store.usedBelow(instance.id);
  const all = await Promise.all([instance, ...family.below(instance)].map((one) => one.stats()));
  return { used, left, children, children_left, stats: sumOf(all) };
}

function sumOf(all: readonly (InstanceStats | null)[]): TreeView["stats"] {
  const sum = { memory_bytes: 0, cpu_ms: 0, processes: 0, disk_bytes: 0 };
  for (const stats of all) {
    sum.memory_bytes += stats?.memory_bytes ?? 0;
    sum.cpu_ms += stats?.cpu_ms ?? 0;
    sum.processes += stats?.processes ?? 0;
    sum.disk_bytes += stats?.disk_bytes ?? 0;
  }
  return sum;
}
