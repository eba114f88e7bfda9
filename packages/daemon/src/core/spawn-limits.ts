import { AegisError } from "@aegis/protocol/errors";
import type { ExposeRequest, SpawnInstance } from "@aegis/protocol/instance";
import { networkCovers, type NetworkPolicy } from "@aegis/protocol/network";
import type { Instance } from "./instance.ts";
import type { StoredBinding } from "./instance-record.ts";

/** What a child gets when it does not say: the usual memory, or all that the grant allows, and its parent's network. */
export const childDefaults = (parent: Instance, body: SpawnInstance): SpawnInstance => ({
  ...body,
  memory_mb: body.memory_mb ?? Math.min(512, parent.record.grant.max_memory_mb ?? 512),
  network: body.network ?? parent.record.spec.network,
});

export function refuseHostPath(workspace: string | null): void {
  if (workspace?.startsWith("/") !== true) return;
  throw new AegisError("capability_refused", "An instance may name a workspace, never a host path.");
}

/** What a child stores of the parent's bindings: what they lead to is the owner's, and looked up there. */
export const handedDown = (parent: Instance, wanted: readonly string[]): StoredBinding[] =>
  parent.record.spec.bindings
    .filter(({ name }) => wanted.includes(name))
    .map((binding) => ({ ...binding, inherited: true }));

export function refuseUnknownBindings(parent: Instance, wanted: string[]): void {
  const own = new Set(parent.record.spec.bindings.map(({ name }) => name));
  const missing = wanted.find((name) => !own.has(name));
  if (missing === undefined) return;
  throw new AegisError("capability_refused", `This instance has no binding ${missing} that it could pass on.`);
}

/** A port of the host's is the host's to choose: else a guest could sit down where another program wants to listen. */
export function refusePublicPort(exposes: readonly ExposeRequest[]): void {
  const chosen = exposes.find(({ public_port }) => public_port !== undefined);
  if (chosen === undefined) return;
  throw new AegisError(
    "capability_refused",
    `An instance may not choose the public port ${chosen.public_port}. Leave public_port out; the answer names the port.`,
  );
}

/** Whatever else the grant says: a child is no way around the parent's own network. */
export function refuseWiderNetwork(parent: Instance, wanted: NetworkPolicy): void {
  if (networkCovers(parent.record.spec.network, wanted)) return;
  throw new AegisError("capability_refused", "A child may reach no more of the network than its parent (network).");
}
