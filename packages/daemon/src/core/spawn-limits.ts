import type { Capabilities } from "@aegis/protocol/capability";
import type { ExposeRequest, SpawnInstance } from "@aegis/protocol/instance";
import { refuse } from "./capability-refusal.ts";
import { DEFAULT_DISK_MB } from "./instance-spec.ts";
import { widestNetwork } from "./network-rule.ts";
import type { InstanceSpec, StoredBinding } from "./instance-record.ts";
import type { TreeAmounts } from "./tree-budget.ts";

const USUAL = { memory_mb: 512, vcpus: 1, disk_mb: DEFAULT_DISK_MB };
/** Less than this is asked by nobody: where less is left, the child is refused. */
const LEAST = { memory_mb: 16, vcpus: 0.1, disk_mb: 64 };

/**
 * What a child gets when it does not say: the usual amount, or all that is allowed and left when that is less.
 * @param left what is left of the tightest budget that the child will count against
 */
export function childDefaults(grant: Capabilities, left: TreeAmounts): Partial<SpawnInstance> {
  const { max_memory_mb = 0, max_vcpus = 0, max_lifetime_s = 0 } = grant;
  return {
    memory_mb: Math.max(LEAST.memory_mb, Math.floor(Math.min(USUAL.memory_mb, max_memory_mb, left.memory_mb))),
    vcpus: Math.max(LEAST.vcpus, Math.min(USUAL.vcpus, max_vcpus, left.vcpus)),
    disk_mb: Math.max(LEAST.disk_mb, Math.floor(Math.min(USUAL.disk_mb, left.disk_mb))),
    network: widestNetwork(grant.allowed_network ?? []),
    ...(max_lifetime_s > 0 && { lifetime_s: max_lifetime_s }),
  };
}

/**
 * What a child stores of its parent's bindings: what they lead to is the owner's, and looked up there.
 * @throws CapabilityRefusal for a name that there is not
 */
export function handedDown(parent: InstanceSpec, wanted: readonly string[]): StoredBinding[] {
  return wanted.map((name) => {
    const own = parent.bindings.find((binding) => binding.name === name);
    if (own !== undefined) return { ...own, inherited: true };
    return refuse("allowed_bindings", `This instance has no binding ${name} that it could pass on`);
  });
}

/** A port of the host's is the host's to choose: else a guest could sit down where another program wants to listen. */
export function refusePublicPort(exposes: readonly ExposeRequest[]): void {
  const chosen = exposes.find(({ public_port }) => public_port !== undefined);
  if (chosen === undefined) return;
  refuse(
    "max_expose_ports",
    `An instance may not choose the public port ${chosen.public_port}: leave public_port out, the answer names the port`,
  );
}
