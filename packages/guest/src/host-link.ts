import type { ActivityReport, HarnessNotifications, ProcessExit } from "@aegis/protocol/control";
import { LogBuffer, type LogEntry } from "./log-buffer.ts";

const MAX_BUFFERED_BYTES = 1024 * 1024;
/** From here on the workload's output is held back while a host takes what is there. */
const HOLD_BACK_BYTES = 256 * 1024;
/** A host that takes nothing for this long, in ms, no longer holds the workload back: lines are dropped instead. */
const STALLED_MS = 5000;

/** Characters of log lines that are written at once. */
const BATCH_CHARS = 64 * 1024;

export type Notification = {
  [M in keyof HarnessNotifications]: { method: M; params: HarnessNotifications[M] };
}[keyof HarnessNotifications];

/** The control stream as far as notifications need it. */
export interface Outlet {
  /** false: they are written, but the host is behind; wait for {@link HostLink.pump} to be called */
  notify(notifications: Notification[]): boolean;
}

/**
 * What the harness has to tell, over whichever control stream there is. Log lines and the exit wait for one; they
 * are told in order, the exit after the last line.
 */
export class HostLink {
  readonly #logs = new LogBuffer(MAX_BUFFERED_BYTES);
  #exit: ProcessExit | null = null;
  #outlet: Outlet | null = null;
  #isBehind = false;
  #isStalled = false;
  #stallTimer: NodeJS.Timeout | undefined;
  #waiting: (() => void)[] = [];

  /** From now on everything goes here; an older outlet is forgotten, with what it may not have passed on. */
  attach(outlet: Outlet): void {
    this.#outlet = outlet;
    this.#logs.rewind();
    this.pump();
  }

  detach(outlet: Outlet): void {
    if (this.#outlet !== outlet) return;
    this.#outlet = null;
    this.#setBehind(false);
    this.#release();
  }

  /** The host has log lines up to this one on disk. */
  saved(seq: number): void {
    this.#logs.release(seq);
  }

  log(entries: LogEntry[]): void {
    for (const entry of entries) this.#logs.push(entry);
    if (!this.#isBehind) this.pump();
  }

  exited(exit: ProcessExit): void {
    this.#exit = exit;
    if (!this.#isBehind) this.pump();
  }

  /** Told now or never. */
  activity(activity: ActivityReport): void {
    if (!this.#isBehind) this.#tell([{ method: "activity", params: activity }]);
  }

  /** Told now or, by the caller, to the next host. */
  openStream(request: HarnessNotifications["stream.open"]): void {
    this.#tell([{ method: "stream.open", params: request }]);
  }

  /** Null when more may be logged at once, else a promise to wait for. */
  room(): Promise<void> | null {
    if (this.#outlet === null || this.#isStalled || this.#logs.unsentBytes < HOLD_BACK_BYTES) return null;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Settles when the host has taken every line, or is gone or stalled. */
  async flushed(): Promise<void> {
    while (this.#outlet !== null && this.#isBehind && !this.#isStalled)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Writes what waits, until the host is behind again. */
  pump(): void {
    this.#setBehind(false);
    while (this.#outlet !== null && !this.#isBehind) {
      const batch = this.#takeBatch();
      if (batch.length === 0) break;
      this.#tell(batch);
    }
    if (this.#outlet === null || this.#logs.unsentBytes < HOLD_BACK_BYTES) this.#release();
  }

  #takeBatch(): Notification[] {
    const batch: Notification[] = [];
    const lines = this.#logs.takeDropped();
    if (lines > 0) batch.push({ method: "log.dropped", params: { lines } });
    let chars = 0;
    while (chars < BATCH_CHARS) {
      const entry = this.#logs.next();
      if (entry === null) break;
      batch.push({ method: "log", params: entry });
      chars += entry.line.length;
    }
    if (this.#exit !== null && this.#logs.allSent) {
      batch.push({ method: "processExited", params: this.#exit });
      this.#exit = null;
    }
    return batch;
  }

  #tell(notifications: Notification[]): void {
    if (this.#outlet?.notify(notifications) === false) this.#setBehind(true);
  }

  #setBehind(isBehind: boolean): void {
    this.#isBehind = isBehind;
    if (isBehind) {
      this.#stallTimer ??= setTimeout(() => this.#stalled(), STALLED_MS);
      return;
    }
    clearTimeout(this.#stallTimer);
    this.#stallTimer = undefined;
    this.#isStalled = false;
  }

  #stalled(): void {
    this.#isStalled = true;
    this.#release();
  }

  #release(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
