import type { ReadableStreamDefaultReader } from "node:stream/web";

/** How long an output may be silent after its process has ended before it counts as done, in ms. */
const QUIET_MS = 250;
/** What is still read after the process has ended: all that a pipe can hold, but no endless stream of a grandchild. */
const MAX_BYTES_AFTER_EXIT = 2 * 1024 * 1024;

/** Reads one output of a process to its end, or until its process is gone and only a left-over child holds it open. */
export class OutputReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #exited = false;
  #bytesAfterExit = 0;
  #reading = false;
  #quiet: NodeJS.Timeout | undefined;

  constructor(reader: ReadableStreamDefaultReader<Uint8Array>) {
    this.#reader = reader;
  }

  /** Hands every chunk to `take`, one at a time: while `take` is busy the process is held back. */
  async pump(take: (chunk: Uint8Array) => Promise<void> | void): Promise<void> {
    for (;;) {
      const chunk = await this.#next();
      if (chunk === null) return;
      await take(chunk);
      if (this.#exited) this.#bytesAfterExit += chunk.length;
      if (this.#bytesAfterExit > MAX_BYTES_AFTER_EXIT) return this.cancel();
    }
  }

  processExited(): void {
    this.#exited = true;
    if (this.#reading) this.#armQuiet();
  }

  /** Ends {@link pump}; a process that still writes gets SIGPIPE. */
  cancel(): void {
    void this.#reader.cancel().catch(() => undefined);
  }

  async #next(): Promise<Uint8Array | null> {
    this.#reading = true;
    if (this.#exited) this.#armQuiet();
    try {
      const { value } = await this.#reader.read();
      return value ?? null;
    } catch {
      return null; // a read error ends an output like its end does
    } finally {
      this.#reading = false;
      clearTimeout(this.#quiet);
    }
  }

  #armQuiet(): void {
    this.#quiet = setTimeout(() => this.cancel(), QUIET_MS);
  }
}
