import type { Capabilities } from "@aegis/protocol/capability";
import { AegisError } from "@aegis/protocol/errors";
import type { ExposeRequest } from "@aegis/protocol/instance";
import type { Instance } from "./instance.ts";

/** What a child gets when it does not say: the usual amount, or all that the grant allows when that is less. */
export const childMemory = (grant: Capabilities): number => Math.min(512, grant.max_memory_mb ?? 512);

export function refuseHostPath(workspace: string | null): void {
  if (workspace?.startsWith("/") !== true) return;
  throw new AegisError("capability_refused", "An instance may name a workspace, never a host path.");
}

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
