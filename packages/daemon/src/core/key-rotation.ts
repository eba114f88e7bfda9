import type { KeyRotated } from "@aegis/protocol/secret";
import type { Instances } from "./instances.ts";

export interface KeyRotationParts {
  /** seals every secret with a new key, or none; says how many */
  reseal: () => number;
  /** tokens are signed with a new key from now on */
  rekeyTokens: () => void;
  instances: Pick<Instances, "list">;
  warn: (message: string) => void;
}

/** Changes the key of this home. What runs goes on: it gets a new token at once, a paused instance when it wakes. */
export async function rotateKey({ reseal, rekeyTokens, instances, warn }: KeyRotationParts): Promise<KeyRotated> {
  const secrets = reseal();
  rekeyTokens();
  const renewals = instances.list({ state: "running" }).map((instance) =>
    // one that does not answer is found dead by others
    instance.renewToken().catch((error: unknown) => warn(`the token of ${instance.id} is old: ${String(error)}`)),
  );
  await Promise.all(renewals);
  return { secrets };
}
