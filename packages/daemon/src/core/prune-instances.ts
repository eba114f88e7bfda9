import type { Instance } from "./instance.ts";
import type { Instances } from "./instances.ts";

/** Deletes what has been stopped for longer than that, if its children have too. @returns the handles */
export async function pruneInstances(instances: Instances, stoppedOlderThanS: number): Promise<string[]> {
  const before = Date.now() - stoppedOlderThanS * 1000;
  const deleted: string[] = [];
  for (const instance of instances.list()) {
    // looked at only now: it may have been started, or deleted with its parent, while another one was deleted
    if (instance.removed || !isLongStopped(instances, instance, before)) continue;
    deleted.push(...[instance, ...descendantsOf(instances, instance)].map(({ handle }) => handle));
    await instances.delete(instance);
  }
  return deleted;
}

function isLongStopped(instances: Instances, instance: Instance, before: number): boolean {
  const { state, stopped_at, restart_at, wake_at, created_at } = instance.view();
  const down = (state === "stopped" || state === "failed") && restart_at === null && wake_at === null;
  if (!down || Date.parse(stopped_at ?? created_at) > before) return false;
  return instances.childrenOf(instance).every((child) => isLongStopped(instances, child, before));
}

const descendantsOf = (instances: Instances, instance: Instance): Instance[] =>
  instances.childrenOf(instance).flatMap((child) => [child, ...descendantsOf(instances, child)]);
