import type { Audit } from "./audit.ts";
import type { DriverObserver } from "./driver.ts";
import type { EventLog } from "./event-log.ts";

export interface NetworkRefusalsDeps {
  events: Pick<EventLog, "emit">;
  audit: Audit;
  /** undefined for an instance that was deleted meanwhile */
  handleOf: (instanceId: string) => string | undefined;
}

/** What instances tried to reach and may not: an event and an entry in the audit log each. */
export const networkRefusals = ({ events, audit, handleOf }: NetworkRefusalsDeps): DriverObserver => ({
  networkRefused: ({ instanceId: instance_id, boot, destination, protocol, reason, more }) => {
    const handle = handleOf(instance_id) ?? instance_id;
    events.emit({ type: "network.refused", instance_id, handle, destination, protocol, reason, more });
    audit.record({
      actor: { kind: "instance", instance_id, handle, boot },
      action: "network.connect",
      target: destination,
      decision: "refused",
      reason,
      detail: protocol,
      ...(more > 0 ? { more } : {}),
    });
  },
});
