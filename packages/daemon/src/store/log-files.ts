import { appendFile, mkdir, rename, rm, rmdir, stat } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { LogLine } from "@aegis/protocol/exec";
import type { LogPosition, LogQuery, Logs } from "../core/logs.ts";
import { LogSnapshot } from "./log-snapshot.ts";

const ROTATE_BYTES = 8 * 1024 * 1024;
/** In so much at the end of a log there is almost always a line of the workload. */
const POSITION_TAIL_BYTES = 64 * 1024;
/** Lines that wait for the disk; beyond this the oldest are dropped, and a line says how many. */
const MAX_PENDING_BYTES = 4 * 1024 * 1024;
/** So much that waits is a reason to take no more for a while. */
const PRESSURE_BYTES = 256 * 1024;
/** Lines that a follower may lag behind before it is cut off. */
const MAX_FOLLOWER_LINES = 10_000;

interface Book {
  pending: string[];
  pendingBytes: number;
  dropped: number;
  writing: Promise<void> | null;
  /** to be called when no write is under way: then the files and `pending` together are the whole log */
  betweenWrites: (() => void)[];
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

  append(instanceId: string, line: LogLine, position?: LogPosition): void {
    const book = this.#book(instanceId);
    const text = `${JSON.stringify(position === undefined ? line : { ...line, position })}\n`;
    book.pending.push(text);
    book.pendingBytes += text.length;
    while (book.pendingBytes > MAX_PENDING_BYTES) {
      book.pendingBytes -= book.pending.shift()?.length ?? 0;
      book.dropped += 1;
    }
    for (const tell of book.followers) tell(line);
    this.#startWriting(instanceId, book);
  }

  pressure(instanceId: string): Promise<void> | null {
    const pending = this.#books.get(instanceId)?.pendingBytes ?? 0;
    return pending < PRESSURE_BYTES ? null : this.flush(instanceId);
  }

  async *read(instanceId: string, query: LogQuery, signal: AbortSignal): AsyncGenerator<LogLine> {
    const live = new LiveLines(signal);
    const book = this.#book(instanceId);
    try {
      const snapshot = await betweenWrites(book, () => {
        if (query.follow === true) book.followers.add(live.push);
        return new LogSnapshot([this.#older(instanceId), this.#newer(instanceId)], book.pending);
      });
      yield* await select(snapshot, query);
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
    await rmdir(join(this.#root, instanceId)).catch(unlessUsedOrGone);
  }

  async newestSeq(instanceId: string, boot: number): Promise<number> {
    const paths = [this.#older(instanceId), this.#newer(instanceId)];
    for (const bytes of [POSITION_TAIL_BYTES, Infinity]) {
      let newest: LogPosition | null = null;
      for await (const position of new LogSnapshot(paths, [], bytes).positions()) newest = position;
      if (newest !== null) return newest.boot === boot ? newest.seq : 0;
    }
    return 0;
  }

  async flush(instanceId?: string): Promise<void> {
    const one = instanceId === undefined ? undefined : this.#books.get(instanceId);
    const books = instanceId === undefined ? [...this.#books.values()] : one === undefined ? [] : [one];
    for (const book of books) while (book.writing !== null) await book.writing;
  }

  #startWriting(instanceId: string, book: Book): void {
    book.writing ??= this.#write(instanceId, book).finally(() => {
      book.writing = null;
      for (const look of book.betweenWrites.splice(0)) look();
      if (book.pending.length > 0) this.#startWriting(instanceId, book);
    });
  }

  async #write(instanceId: string, book: Book): Promise<void> {
    try {
      await mkdir(this.#folder(instanceId), { recursive: true, mode: 0o700 });
      while (book.pending.length > 0) {
        for (const look of book.betweenWrites.splice(0)) look();
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
    const book: Book = {
      pending: [],
      pendingBytes: 0,
      dropped: 0,
      writing: null,
      betweenWrites: [],
      bytes: null,
      followers: new Set(),
    };
    this.#books.set(instanceId, book);
    return book;
  }

  #folder = (instanceId: string): string => join(this.#root, instanceId, "logs");
  #newer = (instanceId: string): string => join(this.#folder(instanceId), "log.ndjson");
  #older = (instanceId: string): string => join(this.#folder(instanceId), "log.1.ndjson");
}

/** The instance's folder is not ours alone: whoever leaves it last removes it. */
function unlessUsedOrGone(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOTEMPTY" && error.code !== "ENOENT") throw error;
}

function betweenWrites<T>(book: Book, look: () => T): Promise<T> {
  if (book.writing === null) return Promise.resolve(look());
  return new Promise((resolve, reject) => {
    book.betweenWrites.push(() => {
      try {
        resolve(look());
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  });
}

async function select(snapshot: LogSnapshot, { tail, since }: LogQuery): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for await (const line of snapshot.lines()) {
    if (since !== undefined && line.ts < since) continue;
    lines.push(line);
    if (tail !== undefined && lines.length > tail) lines.shift();
  }
  return lines;
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
