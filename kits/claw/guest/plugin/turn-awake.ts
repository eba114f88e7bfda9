import type { AgentEvent } from "./openclaw-api.ts";
import type { StayAwake } from "./stay-awake.ts";

/** A turn that says nothing for this long is over, whatever became of it. */
const SILENT_TURN_MS = 15 * 60_000;

/**
 * Keeps the bot awake while an agent turn is going on: a model that thinks for minutes looks like an idle instance,
 * for it neither uses the processor nor the network.
 */
export class TurnAwake {
  readonly #awake: Pick<StayAwake, "hold" | "release">;
  readonly #turns = new Map<string, NodeJS.Timeout>();

  constructor(awake: Pick<StayAwake, "hold" | "release">) {
    this.#awake = awake;
  }

  seen(event: AgentEvent): void {
    const ended = event.stream === "lifecycle" && (event.data["phase"] === "end" || event.data["phase"] === "error");
    clearTimeout(this.#turns.get(event.runId));
    if (ended) return this.#over(event.runId);
    if (!this.#turns.has(event.runId)) this.#awake.hold(event.runId, "an agent turn is going on");
    this.#turns.set(event.runId, setTimeout(() => this.#over(event.runId), SILENT_TURN_MS).unref());
  }

  close(): void {
    for (const timer of this.#turns.values()) clearTimeout(timer);
    this.#turns.clear();
  }

  #over(runId: string): void {
    this.#turns.delete(runId);
    this.#awake.release(runId);
  }
}
