import type { HarnessNotifications } from "@aegis/protocol/control";

export type LogEntry = HarnessNotifications["log"];

/** What an entry takes beside its text. */
const ENTRY_OVERHEAD_BYTES = 64;
const COMPACT_AT = 1024;

/** Log lines that wait for a host. Bounded: the oldest are dropped and counted. */
export class LogBuffer {
  readonly #maxBytes: number;
  #entries: LogEntry[] = [];
  #head = 0;
  #bytes = 0;
  #dropped = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#head === this.#entries.length;
  }

  push(entry: LogEntry): void {
    this.#entries.push(entry);
    this.#bytes += sizeOf(entry);
    while (this.#bytes > this.#maxBytes && this.shift() !== null) this.#dropped += 1;
  }

  /** The oldest entry, or null. */
  shift(): LogEntry | null {
    const entry = this.#entries[this.#head];
    if (entry === undefined) return null;
    this.#head += 1;
    this.#bytes -= sizeOf(entry);
    if (this.#head >= COMPACT_AT || this.isEmpty) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    return entry;
  }

  /** How many were dropped since the last call. */
  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }
}

/** In memory a text takes one or two bytes a character; counting two keeps the bound honest for both. */
const sizeOf = (entry: LogEntry): number => entry.line.length * 2 + ENTRY_OVERHEAD_BYTES;
