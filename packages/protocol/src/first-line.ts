/** Takes the first line off a byte stream and leaves every byte behind it untouched. */
export class FirstLine {
  readonly #maxBytes: number;
  #seen: Uint8Array = new Uint8Array(0);

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * @returns the line without its break and the bytes behind it, or null while it is incomplete
   * @throws RangeError when the line exceeds the limit given to the constructor
   */
  push(chunk: Uint8Array): { line: string; rest: Uint8Array } | null {
    const bytes = new Uint8Array(this.#seen.length + chunk.length);
    bytes.set(this.#seen);
    bytes.set(chunk, this.#seen.length);
    const end = bytes.indexOf(10);
    if ((end === -1 ? bytes.length : end) > this.#maxBytes)
      throw new RangeError(`the first line exceeds ${this.#maxBytes} bytes`);
    if (end === -1) {
      this.#seen = bytes;
      return null;
    }
    return { line: new TextDecoder().decode(bytes.subarray(0, end)), rest: bytes.subarray(end + 1) };
  }
}
