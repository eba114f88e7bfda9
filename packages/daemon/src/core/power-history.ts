import type { PowerEntry } from "@aegis/protocol/instance";
import type { NumberedPowerEntry, Store } from "./store.ts";

export const KEPT_POWER = 50;

export interface PowerHistoryDeps {
  store: Pick<Store, "putPower">;
  warn: (message: string) => void;
}

/** The newest changes of state of one instance, and what caused them. It explains; nothing depends on it. */
export class PowerHistory {
  readonly #instanceId: string;
  readonly #deps: PowerHistoryDeps;
  #entries: NumberedPowerEntry[];

  constructor(instanceId: string, entries: NumberedPowerEntry[], deps: PowerHistoryDeps) {
    this.#instanceId = instanceId;
    this.#entries = entries;
    this.#deps = deps;
  }

  /** Oldest first. */
  list(): PowerEntry[] {
    return this.#entries.map(({ state, since, reason }) => ({ state, since, reason }));
  }

  add(entry: Pick<PowerEntry, "state" | "reason">): void {
    this.#put({ ...entry, since: new Date().toISOString(), seq: (this.#entries.at(-1)?.seq ?? 0) + 1 });
  }

  /** Of many entries that begin alike in a row only the newest is kept: they say that something goes on. */
  repeat(prefix: string, entry: Pick<PowerEntry, "state" | "reason">): void {
    const last = this.#entries.at(-1);
    if (last?.reason.startsWith(prefix) !== true) return this.add({ ...entry, reason: prefix + entry.reason });
    this.#entries.pop();
    this.#put({ state: entry.state, reason: prefix + entry.reason, since: last.since, seq: last.seq });
  }

  #put(entry: NumberedPowerEntry): void {
    this.#entries = [...this.#entries, entry].slice(-KEPT_POWER);
    try {
      this.#deps.store.putPower(this.#instanceId, entry);
    } catch (error) {
      this.#deps.warn(`the power history of ${this.#instanceId} could not be written down: ${String(error)}`);
    }
  }
}
