import type { HarnessNotifications } from "@aegis/protocol/control";

export type LogEntry = HarnessNotifications["log"];
type NumberedEntry = LogEntry & { seq: number };

/** What an entry takes beside its text. */
const ENTRY_OVERHEAD_BYTES = 64;
const COMPACT_AT = 1024;

/**
 * Log lines that a host does not have on disk yet, sent or not. Bounded: the oldest go first, and those that were never
 * sent are counted.
 */
export class LogBuffer {
  readonly #maxBytes: number;
  #entries: NumberedEntry[] = [];
  #head = 0;
  /** place of the next entry to send */
  #next = 0;
  #bytes = 0;
  #unsentBytes = 0;
  #lastSeq = 0;
  #lastSent = 0;
  #dropped = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  get allSent(): boolean {
    return this.#next === this.#entries.length;
  }

  push(entry: LogEntry): void {
    const bytes = sizeOf(entry);
    this.#entries.push({ ...entry, seq: ++this.#lastSeq });
    this.#bytes += bytes;
    this.#unsentBytes += bytes;
    while (this.#bytes > this.#maxBytes) this.#drop();
  }

  /** The oldest entry that was not sent, which counts as sent from now on; or null. */
  next(): NumberedEntry | null {
    const entry = this.#entries[this.#next];
    if (entry === undefined) return null;
    this.#next += 1;
    this.#unsentBytes -= sizeOf(entry);
    this.#lastSent = Math.max(this.#lastSent, entry.seq);
    return entry;
  }

  /** What is not on disk is to be sent again. */
  rewind(): void {
    this.#next = this.#head;
    this.#unsentBytes = this.#bytes;
  }

  /** Entries up to this one are on disk. */
  release(seq: number): void {
    for (
      let entry = this.#entries[this.#head];
      entry !== undefined && entry.seq <= seq;
      entry = this.#entries[this.#head]
    )
      this.#shift(entry);
  }

  /** How many were dropped since the last call and had never been sent. */
  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  #drop(): void {
    const entry = this.#entries[this.#head];
    if (entry === undefined) return;
    if (entry.seq > this.#lastSent) this.#dropped += 1;
    this.#shift(entry);
  }

  #shift(entry: NumberedEntry): void {
    const bytes = sizeOf(entry);
    this.#bytes -= bytes;
    if (this.#head === this.#next) {
      this.#next += 1;
      this.#unsentBytes -= bytes;
    }
    this.#head += 1;
    if (this.#head < COMPACT_AT && this.#head < this.#entries.length) return;
    this.#entries = this.#entries.slice(this.#head);
    this.#next -= this.#head;
    this.#head = 0;
  }
}

/** In memory a text takes one or two bytes a character; counting two keeps the bound honest for both. */
const sizeOf = (entry: LogEntry): number => entry.line.length * 2 + ENTRY_OVERHEAD_BYTES;
