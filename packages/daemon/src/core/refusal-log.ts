import { CapabilityRefusal } from "./capability-refusal.ts";
import type { EventLog } from "./event-log.ts";

/** What was asked when a grant said no. */
export type RefusedAct = "spawn" | "expose" | "start" | "secrets" | "replace" | "grant";

/** Every refusal of a capability passes here, and leaves a trace. */
export class RefusalLog {
  readonly #events: EventLog;

  constructor(events: EventLog) {
    this.#events = events;
  }

  /** @throws what `act` throws */
  guard<T>(instanceId: string, what: RefusedAct, act: () => T): T {
    try {
      return act();
    } catch (error) {
      this.note(instanceId, what, error);
      throw error;
    }
  }

  /** @param error whatever it was; only a refusal leaves a trace */
  note(instanceId: string, what: RefusedAct, error: unknown): void {
    if (!(error instanceof CapabilityRefusal)) return;
    const { capability, message: reason } = error;
    this.#events.emit({ type: "capability.refused", instance_id: instanceId, what, capability, reason });
  }
}
