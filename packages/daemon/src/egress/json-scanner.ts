const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;

/** Longer keys are none of those that anybody looks for. */
const MAX_KEY = 64;
const MAX_VALUE = 4096;
/** keys that lie deeper are not looked at */
const DEEPEST = 2;

/** white space, numbers, true, false and null: all that JSON has outside of strings besides its punctuation */
const isPlain = (byte: number): boolean =>
  byte === 0x20 || (byte >= 0x09 && byte <= 0x0d) || /[-+.0-9A-Za-z]/.test(String.fromCharCode(byte));
const plain = Uint8Array.from({ length: 256 }, (_, byte) => Number(isPlain(byte)));

/** What is being kept: a key, or the value of one that is wanted, until its level goes on or ends. */
type Keeping = "key" | { path: string; depth: number };

/**
 * Reads JSON as it passes by and keeps none of it but the values of a few keys near the top, whichever way the keys are
 * written and however often they occur. Upper and lower case are the same, since they are so to some servers.
 */
export class JsonScanner {
  readonly #onValue: (path: string, json: string | null) => void;
  readonly #wanted: ReadonlySet<string>;
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** true for an object; what is deeper than {@link DEEPEST} is counted only */
  readonly #objects: boolean[] = [];
  readonly #keys: string[] = [];
  #expectsKey = false;
  /** bytes of the string or the value that is being kept */
  #kept: number[] | null = null;
  #keeps: Keeping | null = null;
  #broken = false;
  #begun = false;

  /**
   * @param wanted paths of keys in lower case, as in `usage` and `message.usage`
   * @param onValue gets the text of each value; null for one that is too long
   */
  constructor(wanted: readonly string[], onValue: (path: string, json: string | null) => void) {
    this.#wanted = new Set(wanted);
    this.#onValue = onValue;
  }

  /** True for what cannot be a JSON object. */
  get broken(): boolean {
    return this.#broken;
  }

  /** True when one whole JSON object was read. */
  get complete(): boolean {
    return this.#begun && !this.#broken && this.#depth === 0 && !this.#inString;
  }

  push(chunk: Uint8Array): void {
    for (const byte of chunk) {
      if (this.#broken) return;
      if (this.#inString) this.#string(byte);
      else this.#structure(byte);
    }
  }

  #string(byte: number): void {
    this.#keep(byte);
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) {
      this.#inString = false;
      if (this.#keeps === "key") this.#endKey();
    }
  }

  #structure(byte: number): void {
    switch (byte) {
      case QUOTE:
        this.#inString = true;
        if (this.#depth === 0) this.#broken = true;
        if (this.#expectsKey && this.#keeps === null) this.#begin("key");
        return this.#keep(byte);
      case COLON:
        return this.#beginValue();
      case OPEN:
      case OPEN_LIST:
        this.#keep(byte);
        return this.#descend(byte === OPEN);
      case CLOSE:
      case CLOSE_LIST:
        return this.#ascend(byte);
      case COMMA:
        if (this.#depth === 0) this.#broken = true;
        this.#endValue();
        this.#keep(byte);
        this.#expectsKey = this.#depth <= DEEPEST && this.#objects[this.#depth - 1] === true;
        return;
      default:
        if (plain[byte] === 0 || (this.#depth === 0 && byte > 0x20)) this.#broken = true;
        this.#keep(byte);
    }
  }

  #descend(isObject: boolean): void {
    if (this.#depth === 0 && (this.#begun || !isObject)) this.#broken = true;
    this.#begun = true;
    this.#depth += 1;
    if (this.#depth <= DEEPEST) this.#objects[this.#depth - 1] = isObject;
    this.#expectsKey = isObject && this.#depth <= DEEPEST;
  }

  #ascend(byte: number): void {
    this.#endValue();
    this.#keep(byte);
    this.#depth -= 1;
    this.#expectsKey = false;
    if (this.#depth < 0) this.#broken = true;
  }

  #begin(what: Keeping): void {
    this.#keeps = what;
    this.#kept = [];
  }

  #endKey(): void {
    const text = this.#take();
    this.#expectsKey = false;
    this.#keys[this.#depth - 1] = text === null ? "" : parsedKey(text);
  }

  #beginValue(): void {
    if (this.#depth === 0) this.#broken = true;
    if (this.#depth > DEEPEST || this.#keeps !== null) return this.#keep(COLON);
    const path = this.#keys.slice(0, this.#depth).join(".");
    if (this.#wanted.has(path)) this.#begin({ path, depth: this.#depth });
  }

  #endValue(): void {
    if (this.#keeps === null || this.#keeps === "key" || this.#keeps.depth !== this.#depth) return;
    const { path } = this.#keeps;
    this.#onValue(path, this.#take()?.trim() ?? null);
  }

  #keep(byte: number): void {
    if (this.#kept === null) return;
    if (this.#kept.length < (this.#keeps === "key" ? MAX_KEY : MAX_VALUE)) this.#kept.push(byte);
    else this.#kept = null;
  }

  #take(): string | null {
    const text = this.#kept === null ? null : Buffer.from(this.#kept).toString("utf8");
    this.#keeps = null;
    this.#kept = null;
    return text;
  }
}

function parsedKey(text: string): string {
  try {
    return String(JSON.parse(text)).toLowerCase();
  } catch {
    return "";
  }
}
