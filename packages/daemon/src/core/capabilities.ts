import type { Capabilities } from "@aegis/protocol/capability";
import { AegisError } from "@aegis/protocol/errors";
import { covers, matchesAny } from "./glob.ts";
import type { InstanceSpec } from "./instance-record.ts";

/** A child as its parent asked for it, defaults filled in. */
export interface ChildRequest {
  spec: InstanceSpec;
  capabilities: Capabilities;
  exposedPorts: number;
  bindingNames: string[];
}

const refuse = (reason: string): never => {
  throw new AegisError("capability_refused", `${reason}. Ask whoever started this instance for the capability.`);
};

/**
 * Decides whether an instance with `grant` and `children` living children may create the child.
 * @throws AegisError `capability_refused` with the reason
 */
export function checkSpawn(grant: Capabilities, children: number, child: ChildRequest): void {
  if (grant.spawn !== true) refuse("This instance may not create instances (capability spawn)");
  if ((grant.spawn_depth ?? 0) < 1) refuse("No further level of children is allowed here (capability spawn_depth)");
  const most = grant.max_children ?? 0;
  if (children >= most) refuse(`${children} of at most ${most} children exist already (capability max_children)`);
  checkResources(grant, child);
  checkNames(grant, child);
  checkDelegation(grant, child.capabilities);
}

function checkResources(grant: Capabilities, { spec, exposedPorts }: ChildRequest): void {
  const memory = grant.max_memory_mb ?? 0;
  if (spec.memory_mb > memory) refuse(`${spec.memory_mb} MB of memory asked, at most ${memory} MB (max_memory_mb)`);
  const vcpus = grant.max_vcpus ?? 0;
  if (spec.vcpus > vcpus) refuse(`${spec.vcpus} vcpus asked, at most ${vcpus} (max_vcpus)`);
  checkExposedPorts(grant, exposedPorts);
}

/** @throws AegisError `capability_refused` when a child of the grant's owner would have more endpoints than allowed */
export function checkExposedPorts(grant: Capabilities, ports: number): void {
  const most = grant.max_expose_ports ?? 0;
  if (ports > most) refuse(`${ports} exposed ports asked, at most ${most} (max_expose_ports)`);
}

function checkNames(grant: Capabilities, { spec, bindingNames }: ChildRequest): void {
  if (!matchesAny(grant.allowed_images ?? [], spec.image_ref)) {
    refuse(`The image ${spec.image_ref} is not among the allowed ones (allowed_images)`);
  }
  for (const secret of spec.secrets) {
    const name = secret.slice(secret.indexOf("=") + 1);
    if (!matchesAny(grant.allowed_secrets ?? [], name)) refuse(`The secret ${name} is not allowed (allowed_secrets)`);
  }
  if (spec.workspace !== null && !matchesAny(grant.allowed_workspaces ?? [], spec.workspace)) {
    refuse(`The workspace ${spec.workspace} is not allowed (allowed_workspaces)`);
  }
  for (const name of bindingNames) {
    if (!matchesAny(grant.allowed_bindings ?? [], name))
      refuse(`The binding ${name} is not allowed (allowed_bindings)`);
  }
}

const numbers = ["max_children", "max_memory_mb", "max_vcpus", "max_expose_ports"] as const;
const lists = ["allowed_images", "allowed_secrets", "allowed_workspaces", "allowed_bindings"] as const;

/** A child gets at most its parent's, one level less deep. */
function checkDelegation(parent: Capabilities, child: Capabilities): void {
  if (child.spawn !== true) return;
  const depth = (parent.spawn_depth ?? 0) - 1;
  if ((child.spawn_depth ?? 0) > depth) refuse(`A child may have spawn_depth ${depth} at most (spawn_depth)`);
  for (const name of numbers) {
    if ((child[name] ?? 0) > (parent[name] ?? 0)) refuse(`A child may have ${name} ${parent[name] ?? 0} at most`);
  }
  for (const name of lists) {
    if (!covers(parent[name] ?? [], child[name] ?? [])) refuse(`A child may not have more in ${name} than its parent`);
  }
}
