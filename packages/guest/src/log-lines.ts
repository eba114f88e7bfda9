/** Splits output into log lines. A line beyond the limit is cut and says so; what follows up to its end is skipped. */
export class LogLines {
  readonly #maxBytes: number;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #skippedBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

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

  /** The last line when it has no line break, else null. */
  rest(): string | null {
    return this.#pendingBytes === 0 ? null : this.#take();
  }

  #keep(bytes: Uint8Array): void {
    const kept = bytes.subarray(0, this.#maxBytes - this.#pendingBytes);
    this.#skippedBytes += bytes.length - kept.length;
    if (kept.length === 0) return;
    this.#pending.push(kept);
    this.#pendingBytes += kept.length;
  }

  #take(): string {
    const [first] = this.#pending;
    const bytes = this.#pending.length === 1 && first !== undefined ? first : concat(this.#pending, this.#pendingBytes);
    const skipped = this.#skippedBytes;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#skippedBytes = 0;
    if (skipped === 0) return this.#decoder.decode(bytes);
    const whole = wholeCharacters(bytes);
    return `${this.#decoder.decode(whole)} [cut: ${skipped + bytes.length - whole.length} more bytes in this line]`;
  }
}

/** The bytes without a character that the cut went through. */
function wholeCharacters(bytes: Uint8Array): Uint8Array {
  let start = bytes.length - 1;
  while (start > 0 && bytes.length - start < 4 && isContinuation(bytes[start])) start -= 1;
  return bytes.length - start < characterLength(bytes[start] ?? 0) ? bytes.subarray(0, start) : bytes;
}

/** Length of a UTF-8 character by its first byte. */
function characterLength(lead: number): number {
  if (lead >= 0xf0) return 4;
  if (lead >= 0xe0) return 3;
  return lead >= 0xc0 ? 2 : 1;
}

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;

function concat(parts: Uint8Array[], length: number): Uint8Array {
  const joined = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}
