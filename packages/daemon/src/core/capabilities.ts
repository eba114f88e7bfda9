import type { Capabilities } from "@aegis/protocol/capability";
import { refuse } from "./capability-refusal.ts";
import { ceilings, listNames, lists, oneLevelDown } from "./effective-grant.ts";
import { matchesAny } from "./glob.ts";
import { imageAllowed } from "./image-rule.ts";
import type { InstanceSpec } from "./instance-record.ts";
import { networkAllowed } from "./network-rule.ts";
import { budgetFields, treeBudget } from "./tree-budget.ts";

/** A child as its parent asked for it, defaults filled in. */
export interface ChildRequest {
  spec: InstanceSpec;
  capabilities: Capabilities;
  exposedPorts: number;
}

/**
 * Decides whether an instance that may do what `grant` says may create such a child, however many it has.
 * @throws CapabilityRefusal
 */
export function checkSpawn(grant: Capabilities, child: ChildRequest): void {
  if (grant.spawn !== true) refuse("spawn", "This instance may not create instances");
  if ((grant.spawn_depth ?? 0) < 1) refuse("spawn_depth", "No further level of children is allowed here");
  checkSpec(grant, child.spec);
  checkExposedPorts(grant, child.exposedPorts);
  checkDelegation(grant, child.capabilities);
}

/** @throws CapabilityRefusal when there may be no child more than there are */
export function checkChildren(grant: Capabilities, children: number): void {
  const most = grant.max_children ?? 0;
  if (children >= most) refuse("max_children", `${children} of at most ${most} children exist already`);
}

/**
 * Decides whether an instance with that spec may run as a child below `grant`, today: a grant may have shrunk since.
 * @throws CapabilityRefusal
 */
export function checkSpec(grant: Capabilities, spec: InstanceSpec): void {
  const memory = grant.max_memory_mb ?? 0;
  if (spec.memory_mb > memory)
    refuse("max_memory_mb", `${spec.memory_mb} MB of memory asked, at most ${memory} MB are allowed`);
  const vcpus = grant.max_vcpus ?? 0;
  if (spec.vcpus > vcpus) refuse("max_vcpus", `${spec.vcpus} vcpus asked, at most ${vcpus} are allowed`);
  checkLifetime(grant, spec);
  checkNames(grant, spec);
}

/** @throws CapabilityRefusal when a child of the grant's owner would have more endpoints than allowed */
export function checkExposedPorts(grant: Capabilities, ports: number): void {
  const most = grant.max_expose_ports ?? 0;
  if (ports > most) refuse("max_expose_ports", `${ports} exposed ports asked, at most ${most} are allowed`);
}

function checkLifetime({ max_lifetime_s = 0 }: Capabilities, { lifetime_s }: InstanceSpec): void {
  if (max_lifetime_s === 0 || (lifetime_s !== null && lifetime_s <= max_lifetime_s)) return;
  const asked = lifetime_s === null ? "A life without end" : `A life of ${lifetime_s} s`;
  refuse("max_lifetime_s", `${asked} asked, at most ${max_lifetime_s} s are allowed`);
}

function checkNames(grant: Capabilities, spec: InstanceSpec): void {
  if (!imageAllowed(grant.allowed_images ?? [], spec.image_ref))
    refuse("allowed_images", `The image ${spec.image_ref} is not among the allowed ones`);
  for (const secret of spec.secrets) {
    const name = secret.slice(secret.indexOf("=") + 1);
    if (!matchesAny(grant.allowed_secrets ?? [], name)) refuse("allowed_secrets", `The secret ${name} is not allowed`);
  }
  checkWorkspace(grant, spec.workspace);
  checkNetwork(grant, spec.network);
  for (const { name } of spec.bindings)
    if (!matchesAny(grant.allowed_bindings ?? [], name))
      refuse("allowed_bindings", `The binding ${name} is not allowed`);
}

function checkNetwork({ allowed_network = [] }: Capabilities, wanted: InstanceSpec["network"]): void {
  if (networkAllowed(allowed_network, wanted)) return;
  const what = wanted.mode === "open" ? "Mode open" : `Mode ${wanted.mode} with ${wanted.allow?.join(", ")}`;
  refuse("allowed_network", `${what} is more network than is allowed (${allowed_network.join(", ") || "none"})`);
}

function checkWorkspace(grant: Capabilities, workspace: string | null): void {
  if (workspace === null) return;
  if (workspace.startsWith("/"))
    refuse("allowed_workspaces", "An instance may name a workspace, never a host path; none is among the allowed ones");
  if (!matchesAny(grant.allowed_workspaces ?? [], workspace))
    refuse("allowed_workspaces", `The workspace ${workspace} is not allowed`);
}

/**
 * A child gets at most what its parent has, one level less deep.
 * @throws CapabilityRefusal
 */
export function checkDelegation(parent: Capabilities, child: Capabilities): void {
  const most = oneLevelDown(parent);
  if (child.spawn === true && most.spawn !== true) refuse("spawn", "A child may not have what its parent has not");
  for (const name of ceilings) {
    const limit = most[name] ?? 0;
    if ((child[name] ?? 0) > limit) refuse(name, `A child may have ${name} ${limit} at most`);
  }
  for (const name of listNames)
    if (!lists[name](most[name] ?? [], child[name] ?? []))
      refuse(name, `A child may not have more in ${name} than its parent`);
  checkLifetimeDelegation(most, child);
  const budget = treeBudget(most);
  for (const name of budgetFields)
    if ((child.tree?.[name] ?? 0) > budget[name])
      refuse(`tree.${name}`, `A child may have a budget of ${budget[name]} at most`);
}

/** A child that says nothing is under its parent's limit all the same. */
function checkLifetimeDelegation({ max_lifetime_s = 0 }: Capabilities, child: Capabilities): void {
  if (max_lifetime_s === 0 || (child.max_lifetime_s ?? 0) <= max_lifetime_s) return;
  refuse("max_lifetime_s", `A child may have max_lifetime_s ${max_lifetime_s} at most`);
}
