/** Splits a byte stream into lines. Bytes, not text, are buffered, so a character split over chunks survives. */
export class LineSplitter {
  readonly #decoder = new TextDecoder();
  readonly #maxBytes: number;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @throws RangeError when a line exceeds the limit given to the constructor */
  push(chunk: Uint8Array): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10, start); end !== -1; end = chunk.indexOf(10, start)) {
      this.#keep(chunk.subarray(start, end));
      lines.push(this.#take());
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
    return lines;
  }

  /** Bytes after the last line break, as text; null when there are none. */
  rest(): string | null {
    return this.#pendingBytes === 0 ? null : this.#take();
  }

  #keep(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pendingBytes += bytes.length;
    if (this.#pendingBytes > this.#maxBytes) throw new RangeError(`a line exceeds ${this.#maxBytes} bytes`);
    this.#pending.push(bytes);
  }

  #take(): string {
    const bytes = this.#join();
    this.#pending = [];
    this.#pendingBytes = 0;
    return this.#decoder.decode(bytes);
  }

  #join(): Uint8Array {
    if (this.#pending.length === 1) return this.#pending[0] ?? new Uint8Array(0);
    const joined = new Uint8Array(this.#pendingBytes);
    let offset = 0;
    for (const part of this.#pending) {
      joined.set(part, offset);
      offset += part.length;
    }
    return joined;
  }
}
