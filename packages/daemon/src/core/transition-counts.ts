import type { EventBody } from "@aegis/protocol/event";
import type { InstanceState } from "@aegis/protocol/instance";

/** How often instances were booted, woken and so on since this daemon started. */
export class TransitionCounts {
  readonly #states = new Map<string, InstanceState>();
  readonly #counts = { boots: 0, boot_failures: 0, wakes: 0, pauses: 0, hibernations: 0, stops: 0 };

  see(event: EventBody): void {
    if (event.type === "instance.deleted") this.#states.delete(event.instance_id);
    if (event.type !== "instance.state") return;
    const before = this.#states.get(event.instance_id);
    // the way back from there is one wake, not a boot
    if (before === "hibernated" && event.state === "starting") return;
    this.#states.set(event.instance_id, event.state);
    const counted = countedAs(before, event.state);
    if (counted !== null) this.#counts[counted] += 1;
  }

  list(): Readonly<Record<"boots" | "boot_failures" | "wakes" | "pauses" | "hibernations" | "stops", number>> {
    return { ...this.#counts };
  }
}

function countedAs(
  before: InstanceState | undefined,
  after: InstanceState,
): keyof ReturnType<TransitionCounts["list"]> | null {
  if (before === after) return null;
  switch (after) {
    case "running":
      if (before === "paused" || before === "hibernated") return "wakes";
      return before === "starting" ? "boots" : null;
    case "paused":
      return "pauses";
    case "hibernated":
      return "hibernations";
    case "failed":
      return before === "starting" || before === "hibernated" ? "boot_failures" : "stops";
    case "stopped":
      return "stops";
    case "starting":
      return null;
  }
}
