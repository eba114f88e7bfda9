import { appendFile, mkdir, rename, rm, stat } from "node:fs/promises";
import { createReadStream, existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { join } from "node:path";
import type { LogLine } from "@aegis/protocol/instance";
import type { LogQuery, Logs } from "../core/logs.ts";

const ROTATE_BYTES = 8 * 1024 * 1024;
/** Lines that wait for the disk; beyond this the oldest are dropped, and a line says how many. */
const MAX_PENDING_BYTES = 4 * 1024 * 1024;
/** Lines that a follower may lag behind before it is cut off. */
const MAX_FOLLOWER_LINES = 10_000;

interface Book {
  pending: string[];
  pendingBytes: number;
  dropped: number;
  writing: Promise<void> | null;
  bytes: number | null;
  followers: Set<(line: LogLine | null) => void>;
}

/** Two NDJSON files an instance, the newer and the one before it, under `<root>/<instance id>/logs/`. */
export class LogFiles implements Logs {
  readonly #root: string;
  readonly #warn: (message: string) => void;
  readonly #books = new Map<string, Book>();

  constructor(root: string, warn: (message: string) => void) {
    this.#root = root;
    this.#warn = warn;
  }

  append(instanceId: string, line: LogLine): void {
    const book = this.#book(instanceId);
    const text = `${JSON.stringify(line)}\n`;
    book.pending.push(text);
    book.pendingBytes += text.length;
    while (book.pendingBytes > MAX_PENDING_BYTES) {
      book.pendingBytes -= book.pending.shift()?.length ?? 0;
      book.dropped += 1;
    }
    for (const tell of book.followers) tell(line);
    this.#startWriting(instanceId, book);
  }

  async *read(instanceId: string, query: LogQuery, signal: AbortSignal): AsyncGenerator<LogLine> {
    const live = new LiveLines(signal);
    const book = this.#book(instanceId);
    await book.writing;
    if (query.follow === true) book.followers.add(live.push);
    try {
      yield* await this.#stored(instanceId, query);
      if (query.follow === true) yield* live.lines();
    } finally {
      book.followers.delete(live.push);
      live.end();
    }
  }

  async delete(instanceId: string): Promise<void> {
    const book = this.#book(instanceId);
    while (book.writing !== null) await book.writing;
    for (const tell of book.followers) tell(null);
    this.#books.delete(instanceId);
    await rm(this.#folder(instanceId), { recursive: true, force: true });
  }

  async flush(): Promise<void> {
    for (const book of this.#books.values()) while (book.writing !== null) await book.writing;
  }

  async #stored(instanceId: string, { tail, since }: LogQuery): Promise<LogLine[]> {
    const lines: LogLine[] = [];
    for (const file of [this.#older(instanceId), this.#newer(instanceId)]) {
      if (!existsSync(file)) continue;
      for await (const text of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
        const line = parse(text);
        if (line === null || (since !== undefined && line.ts < since)) continue;
        lines.push(line);
        if (tail !== undefined && lines.length > tail) lines.shift();
      }
    }
    return lines;
  }

  #startWriting(instanceId: string, book: Book): void {
    book.writing ??= this.#write(instanceId, book).finally(() => {
      book.writing = null;
      if (book.pending.length > 0) this.#startWriting(instanceId, book);
    });
  }

  async #write(instanceId: string, book: Book): Promise<void> {
    try {
      await mkdir(this.#folder(instanceId), { recursive: true, mode: 0o700 });
      while (book.pending.length > 0) {
        const batch = this.#takeBatch(book);
        await this.#rotate(instanceId, book);
        await appendFile(this.#newer(instanceId), batch, { mode: 0o600 });
        book.bytes = (book.bytes ?? 0) + batch.length;
      }
    } catch (error) {
      book.dropped += book.pending.length;
      book.pending = [];
      book.pendingBytes = 0;
      this.#warn(`logs of ${instanceId} could not be written: ${String(error)}`);
    }
  }

  #takeBatch(book: Book): string {
    const lines = book.pending;
    if (book.dropped > 0) {
      const line = `${book.dropped} lines were dropped because the disk was too slow`;
      lines.unshift(`${JSON.stringify({ ts: new Date().toISOString(), stream: "stdout", source: "system", line })}\n`);
    }
    book.pending = [];
    book.pendingBytes = 0;
    book.dropped = 0;
    return lines.join("");
  }

  async #rotate(instanceId: string, book: Book): Promise<void> {
    const newer = this.#newer(instanceId);
    book.bytes ??= existsSync(newer) ? (await stat(newer)).size : 0;
    if (book.bytes < ROTATE_BYTES) return;
    await rename(newer, this.#older(instanceId));
    book.bytes = 0;
  }

  #book(instanceId: string): Book {
    const known = this.#books.get(instanceId);
    if (known !== undefined) return known;
    const book: Book = { pending: [], pendingBytes: 0, dropped: 0, writing: null, bytes: null, followers: new Set() };
    this.#books.set(instanceId, book);
    return book;
  }

  #folder = (instanceId: string): string => join(this.#root, instanceId, "logs");
  #newer = (instanceId: string): string => join(this.#folder(instanceId), "log.ndjson");
  #older = (instanceId: string): string => join(this.#folder(instanceId), "log.1.ndjson");
}

/** A line that a crash cut in half is skipped. */
function parse(text: string): LogLine | null {
  try {
    return JSON.parse(text) as LogLine;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Lines that arrive while a reader is busy with the stored ones, and later. */
class LiveLines {
  readonly #signal: AbortSignal;
  #queue: (LogLine | null)[] = [];
  #news = Promise.withResolvers<void>();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", this.end, { once: true });
  }

  readonly push = (line: LogLine | null): void => {
    this.#queue.push(this.#queue.length < MAX_FOLLOWER_LINES ? line : null);
    this.#news.resolve();
  };

  readonly end = (): void => {
    this.#signal.removeEventListener("abort", this.end);
    this.push(null);
  };

  async *lines(): AsyncGenerator<LogLine> {
    while (!this.#signal.aborted) {
      const batch = this.#queue;
      this.#queue = [];
      for (const line of batch) {
        if (line === null) return;
        yield line;
      }
      if (this.#queue.length > 0) continue;
      await this.#news.promise;
      this.#news = Promise.withResolvers<void>();
    }
  }
}
