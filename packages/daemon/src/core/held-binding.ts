import type { StoredBinding, InstanceRecord } from "./instance-record.ts";
import { matchesAny } from "./glob.ts";

/** A binding that an instance may use right now. */
export interface HeldBinding {
  /** as its owner has it */
  binding: StoredBinding;
  /** the instance, its parent, and so on to the owner: a use counts for each of them */
  holders: [string, ...string[]];
}

/**
 * Follows a binding that was handed down to the instance that owns it. Done anew for each request, so that what an
 * owner loses, or a parent may no longer pass on, is lost below it at once.
 * @returns null when the instance has no such binding, or has it no longer
 */
export function heldBinding(
  holder: Readonly<InstanceRecord>,
  name: string,
  find: (id: string) => Readonly<InstanceRecord> | undefined,
): HeldBinding | null {
  const holders: [string, ...string[]] = [holder.id];
  for (let at = holder; ;) {
    const binding = at.spec.bindings.find((one) => one.name === name);
    if (binding === undefined) return null;
    if (binding.inherited !== true) return { binding, holders };
    const parent = at.parentId === null ? undefined : find(at.parentId);
    if (parent === undefined || holders.includes(parent.id)) return null;
    if (!matchesAny(parent.grant.allowed_bindings ?? [], name)) return null;
    holders.push(parent.id);
    at = parent;
  }
}
