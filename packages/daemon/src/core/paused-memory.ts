import type { Machine, ReclaimedMemory } from "./driver.ts";

export interface PausedMemoryDeps {
  /** how long a pause must have lasted: who wakes at once pays nothing */
  afterMs: number;
  onReclaimed: (memory: ReclaimedMemory) => void;
  warn: (message: string) => void;
}

/** Has the memory of one instance go back to the host while it is paused, behind everything else. */
export class PausedMemory {
  readonly #deps: PausedMemoryDeps;
  #timer: NodeJS.Timeout | undefined;
  #abort = new AbortController();
  #running: Promise<void> | null = null;

  constructor(deps: PausedMemoryDeps) {
    this.#deps = deps;
  }

  /** The machine has just been paused. */
  begin(machine: Machine): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#running ??= this.#reclaim(machine).finally(() => (this.#running = null));
    }, this.#deps.afterMs);
    this.#timer.unref();
  }

  /** To be awaited before anything else is done with the machine: then it is as it was before {@link begin}. */
  async end(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#running === null) return;
    this.#abort.abort();
    await this.#running;
    this.#abort = new AbortController();
  }

  async #reclaim(machine: Machine): Promise<void> {
    try {
      const outcome = await machine.reclaim?.(this.#abort.signal);
      if (outcome === undefined || "nothing" in outcome || outcome.afterBytes >= outcome.beforeBytes) return;
      this.#deps.onReclaimed(outcome);
    } catch (error) {
      this.#deps.warn(`the memory of ${machine.instanceId} could not be given back: ${String(error)}`);
    }
  }
}
