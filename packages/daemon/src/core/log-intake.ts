import type { HarnessNotifications } from "@aegis/protocol/control";
import type { Logs } from "./logs.ts";

export interface LogIntakeParts {
  logs: Pick<Logs, "append" | "flush" | "pressure">;
  instanceId: string;
  boot: number;
  /** the newest line that a daemon before this one has saved */
  savedBefore: number;
  /** so many lines are missing here */
  onGap: (lines: number) => void;
  /** tells the harness that it need not keep lines up to this one */
  acknowledge: (seq: number) => void;
}

/**
 * Takes in what the workload of one boot prints: every line once, although the harness sends what was not acknowledged
 * again to every new control stream.
 */
export class LogIntake {
  readonly #parts: LogIntakeParts;
  #newest: number;
  #acknowledging = false;
  #toldDropped = 0;

  constructor(parts: LogIntakeParts) {
    this.#parts = parts;
    this.#newest = parts.savedBefore;
  }

  /** @returns what to wait for before more is taken, when the disk lags behind */
  take(entry: HarnessNotifications["log"]): void | Promise<void> {
    this.#append(entry);
    return this.#parts.logs.pressure(this.#parts.instanceId) ?? undefined;
  }

  #append({ stream, line, ts, seq }: HarnessNotifications["log"]): void {
    const { logs, instanceId, boot } = this.#parts;
    const missing = seq === undefined ? this.#toldDropped : seq - this.#newest - 1;
    this.#toldDropped = 0;
    if (missing > 0) this.#parts.onGap(missing);
    if (seq === undefined) return logs.append(instanceId, { ts, stream, source: "boot", line });
    if (seq > this.#newest) {
      this.#newest = seq;
      logs.append(instanceId, { ts, stream, source: "boot", line }, { boot, seq });
    }
    if (!this.#acknowledging) void this.#acknowledge();
  }

  /** The harness dropped lines before the next one. Their numbers tell that better, where lines have numbers. */
  dropped(lines: number): void {
    this.#toldDropped += lines;
  }

  async #acknowledge(): Promise<void> {
    this.#acknowledging = true;
    let told = 0;
    while (told < this.#newest) {
      const seq = this.#newest;
      await this.#parts.logs.flush(this.#parts.instanceId);
      this.#parts.acknowledge(seq);
      told = seq;
    }
    this.#acknowledging = false;
  }
}
