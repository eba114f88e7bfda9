import { JsonScanner } from "./json-scanner.ts";

export interface Tokens {
  input_tokens: number;
  output_tokens: number;
}

/** OpenAI (chat, responses, their streams), Anthropic (messages, their streams), Ollama's own. */
const WANTED = ["usage", "response.usage", "message.usage", "prompt_eval_count", "eval_count"];
const LINE_FEED = 0x0a;
const DATA = "data:";

type Shape = "json" | "events" | "lines";

function shapeOf(contentType: string): Shape | null {
  const type = contentType.split(";")[0]?.trim().toLowerCase();
  if (type === "text/event-stream") return "events";
  if (type === "application/x-ndjson") return "lines";
  return type === "application/json" ? "json" : null;
}

/** Reads from an answer that passes by what it says of tokens. Later numbers replace earlier ones: streams say totals. */
export class TokenCount {
  readonly tokens: Tokens = { input_tokens: 0, output_tokens: 0 };
  readonly #shape: Shape;
  #scanner = this.#newScanner();
  /** the beginning of a line of an event stream, until it is known what it is; null behind that */
  #field: string | null = "";

  /** @returns null for an answer that says nothing of tokens */
  static of(contentType: string | undefined): TokenCount | null {
    const shape = shapeOf(contentType ?? "");
    return shape === null ? null : new TokenCount(shape);
  }

  private constructor(shape: Shape) {
    this.#shape = shape;
  }

  push(chunk: Uint8Array): void {
    if (this.#shape === "json") return this.#scanner.push(chunk);
    for (let from = 0; from < chunk.length;) {
      const end = chunk.indexOf(LINE_FEED, from);
      this.#line(chunk.subarray(from, end === -1 ? chunk.length : end));
      if (end === -1) return;
      this.#scanner = this.#newScanner();
      this.#field = "";
      from = end + 1;
    }
  }

  #line(part: Uint8Array): void {
    if (this.#shape === "lines") return this.#scanner.push(part);
    let rest = part;
    if (this.#field !== null) {
      const missing = DATA.length - this.#field.length;
      this.#field += Buffer.from(part.subarray(0, missing)).toString("latin1");
      if (this.#field.length < DATA.length) return;
      if (this.#field !== DATA) return;
      this.#field = null;
      rest = part.subarray(missing);
    }
    this.#scanner.push(rest);
  }

  #newScanner(): JsonScanner {
    return new JsonScanner(WANTED, (path, json) => this.#take(path, json));
  }

  #take(path: string, json: string | null): void {
    const value = parsed(json);
    if (path === "prompt_eval_count") this.#set("input_tokens", [value]);
    else if (path === "eval_count") this.#set("output_tokens", [value]);
    else if (typeof value === "object" && value !== null) {
      const usage = value as Record<string, unknown>;
      const { cache_creation_input_tokens: written, cache_read_input_tokens: read } = usage;
      this.#set("input_tokens", [usage["prompt_tokens"] ?? usage["input_tokens"], written, read]);
      this.#set("output_tokens", [usage["completion_tokens"] ?? usage["output_tokens"]]);
    }
  }

  #set(field: keyof Tokens, parts: unknown[]): void {
    const counts = parts.filter((part) => typeof part === "number" && Number.isSafeInteger(part) && part >= 0);
    if (counts.length > 0) this.tokens[field] = (counts as number[]).reduce((sum, count) => sum + count, 0);
  }
}

function parsed(json: string | null): unknown {
  try {
    return JSON.parse(json ?? "null");
  } catch {
    return null;
  }
}
