/** Splits output into lines for a person: a line that grows too long is cut into pieces instead of refused. */
export class LineCutter {
  readonly #maxBytes: number;
  readonly #decoder = new TextDecoder();
  #pending = "";

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  *push(chunk: Uint8Array): Generator<string> {
    const parts = (this.#pending + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#pending = parts.pop() ?? "";
    for (const part of parts) yield* this.#pieces(part);
    while (this.#pending.length > this.#maxBytes) {
      yield this.#pending.slice(0, this.#maxBytes);
      this.#pending = this.#pending.slice(this.#maxBytes);
    }
  }

  /** what was printed after the last line break */
  *rest(): Generator<string> {
    const rest = this.#pending + this.#decoder.decode();
    this.#pending = "";
    if (rest !== "") yield* this.#pieces(rest);
  }

  *#pieces(text: string): Generator<string> {
    const line = text.endsWith("\r") ? text.slice(0, -1) : text;
    if (line.length <= this.#maxBytes) return yield line;
    for (let at = 0; at < line.length; at += this.#maxBytes) yield line.slice(at, at + this.#maxBytes);
  }
}
