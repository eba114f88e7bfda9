import type { CapabilityName } from "@aegis/protocol/capability";
import { AegisError } from "@aegis/protocol/errors";
import type { ErrorBody } from "@aegis/protocol/errors";

/** A grant does not allow something. It says which field of the grant would. */
export class CapabilityRefusal extends AegisError {
  readonly capability: CapabilityName;

  /** @param reason a clause without a full stop */
  constructor(capability: CapabilityName, reason: string) {
    super(
      "capability_refused",
      `${reason} (capability ${capability}). Ask whoever started this instance for the capability.`,
    );
    this.capability = capability;
  }

  override toBody(): ErrorBody {
    return { ...super.toBody(), capability: this.capability };
  }
}

export function refuse(capability: CapabilityName, reason: string): never {
  throw new CapabilityRefusal(capability, reason);
}
