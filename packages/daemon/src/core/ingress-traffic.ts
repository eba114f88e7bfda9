import { type ActivityReport, HEARTBEAT_MS, IDLE_CPU_MS } from "@aegis/protocol/control";
import type { Wakefulness } from "./open-connection.ts";

/** A heartbeat tells of so much time, spread and all. */
const BEAT_MS = HEARTBEAT_MS * 1.2;

/**
 * When connections from outside last carried something. Their bytes may go over the instance's network interface, which
 * its heartbeat then tells of as well: what was counted when it came would keep the instance awake once more.
 */
export class IngressTraffic {
  readonly #now: () => number;
  #last = Number.NEGATIVE_INFINITY;

  /** @param now monotonic, ms */
  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  /** The same effects, taken note of. */
  noting({ hold, touch, nudge }: Wakefulness): Wakefulness {
    return {
      hold: () => {
        this.#note();
        const release = hold();
        return () => {
          this.#note();
          release();
        };
      },
      touch: () => {
        this.#note();
        touch();
      },
      nudge: () => {
        this.#note();
        nudge();
      },
    };
  }

  /** True when connections from outside may be all that a heartbeat tells of. */
  explains({ tcp, cpu_ms }: ActivityReport): boolean {
    return tcp === 0 && cpu_ms < IDLE_CPU_MS && this.#now() - this.#last < BEAT_MS;
  }

  #note(): void {
    this.#last = this.#now();
  }
}
