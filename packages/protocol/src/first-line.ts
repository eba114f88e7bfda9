import { GrowingBytes } from "./growing-bytes.ts";

/** Takes the first line off a byte stream and leaves every byte behind it untouched. */
export class FirstLine {
  readonly #maxBytes: number;
  readonly #seen = new GrowingBytes();

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * @returns the line without its break and the bytes behind it, or null while it is incomplete
   * @throws RangeError when the line exceeds the limit given to the constructor
   */
  push(chunk: Uint8Array): { line: string; rest: Uint8Array } | null {
    const end = chunk.indexOf(10);
    const part = end === -1 ? chunk : chunk.subarray(0, end);
    if (this.#seen.length + part.length > this.#maxBytes)
      throw new RangeError(`the first line exceeds ${this.#maxBytes} bytes`);
    this.#seen.append(part);
    return end === -1 ? null : { line: new TextDecoder().decode(this.#seen.take()), rest: chunk.subarray(end + 1) };
  }
}
