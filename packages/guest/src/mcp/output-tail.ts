const HEAD_CHARS = 8 * 1024;
const TAIL_CHARS = 24 * 1024;

/** The beginning and the end of an output, however long it is. */
export class OutputTail {
  #head = "";
  #tail = "";
  #dropped = 0;

  push(line: string): void {
    const text = `${line}\n`;
    if (this.#tail === "" && this.#head.length + text.length <= HEAD_CHARS) this.#head += text;
    else this.#tail += text;
    if (this.#tail.length <= 2 * TAIL_CHARS) return;
    this.#dropped += this.#tail.length - TAIL_CHARS;
    this.#tail = this.#tail.slice(-TAIL_CHARS);
  }

  text(): string {
    const over = Math.max(this.#tail.length - TAIL_CHARS, 0);
    const dropped = this.#dropped + over;
    const cut = dropped === 0 ? "" : `[... ${dropped} characters left out ...]\n`;
    return this.#head + cut + this.#tail.slice(over);
  }
}
