import type { AegisEvent, EventBody } from "@aegis/protocol/event";
import type { Store } from "./store.ts";
import { TransitionCounts } from "./transition-counts.ts";

const PAGE = 500;

type EventStore = Pick<Store, "appendEvent" | "eventsSince" | "newestEventSeq">;

/** Events in the order they happened: durable, and live to whoever follows. */
export class EventLog {
  readonly #store: EventStore;
  readonly #warn: (message: string) => void;
  readonly counts = new TransitionCounts();
  readonly #followers = new Set<() => void>();
  #newestSeq: number;

  constructor(store: EventStore, warn: (message: string) => void) {
    this.#store = store;
    this.#warn = warn;
    this.#newestSeq = store.newestEventSeq();
  }

  /** 0 before the first event. */
  get newestSeq(): number {
    return this.#newestSeq;
  }

  /** An event tells of what has happened. When the disk cannot take it, that is no reason to stop half-way. */
  emit(body: EventBody): void {
    try {
      this.#newestSeq = this.#store.appendEvent(body).seq;
    } catch (error) {
      this.#warn(`the event ${body.type} could not be written down: ${String(error)}`);
      return;
    }
    this.counts.see(body);
    for (const wake of this.#followers) wake();
  }

  /** Events after `sinceSeq`, then new ones as they come, until the signal aborts; without `live` only what there is. */
  async *follow(sinceSeq: number, signal: AbortSignal, live = true): AsyncGenerator<AegisEvent> {
    let seen = sinceSeq;
    let news = Promise.withResolvers<void>();
    const wake = () => news.resolve();
    this.#followers.add(wake);
    signal.addEventListener("abort", wake, { once: true });
    try {
      while (!signal.aborted) {
        const events = this.#store.eventsSince(seen, PAGE);
        for (const event of events) yield event;
        seen = events.at(-1)?.seq ?? seen;
        if (events.length === PAGE) {
          // a reader who passes over most of them must not keep everybody else waiting
          await new Promise((resolve) => setImmediate(resolve));
          continue;
        }
        if (!live) return;
        await news.promise;
        news = Promise.withResolvers<void>();
      }
    } finally {
      this.#followers.delete(wake);
      signal.removeEventListener("abort", wake);
    }
  }
}
