import { GrowingBytes } from "./growing-bytes.ts";

/** Splits a byte stream into lines. Bytes, not text, are buffered, so a character split over chunks survives. */
export class LineSplitter {
  readonly #decoder = new TextDecoder();
  readonly #maxBytes: number;
  readonly #pending = new GrowingBytes();

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
    return this.#pending.length === 0 ? null : this.#take();
  }

  #keep(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#pending.length + bytes.length > this.#maxBytes)
      throw new RangeError(`a line exceeds ${this.#maxBytes} bytes`);
    this.#pending.append(bytes);
  }

  #take(): string {
    return this.#decoder.decode(this.#pending.take());
  }
}
