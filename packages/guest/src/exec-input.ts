/** Where input goes: a pipe or a terminal. */
export interface InputSink {
  /** Settles when more may be written. Rejects when nobody reads any more. */
  write(bytes: Uint8Array): Promise<void>;
  end(): Promise<void>;
}

const EOT = new Uint8Array([4]);

export class PipeInput implements InputSink {
  readonly #pipe: Bun.FileSink;

  constructor(pipe: Bun.FileSink) {
    this.#pipe = pipe;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#pipe.write(bytes);
    await this.#pipe.flush();
  }

  async end(): Promise<void> {
    await this.#pipe.end();
  }
}

/** A terminal takes everything at once and says when it has passed it on. */
export class TerminalInput implements InputSink {
  readonly #terminal: Bun.Terminal;
  #drained: (() => void)[] = [];

  constructor(terminal: Bun.Terminal) {
    this.#terminal = terminal;
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#terminal.closed) return Promise.reject(new Error("the terminal is closed"));
    return new Promise((resolve) => {
      this.#drained.push(resolve);
      this.#terminal.write(bytes);
    });
  }

  /** A terminal has no end of input; what a person types instead is Ctrl-D. */
  end(): Promise<void> {
    return this.write(EOT);
  }

  /** To be called by the terminal's `drain`, and when it is closed. */
  drained(): void {
    const drained = this.#drained;
    this.#drained = [];
    for (const resolve of drained) resolve();
  }
}

/**
 * Input on its way to a process. It reads ahead up to a mark, so that a signal is not stuck behind input that nobody
 * reads; beyond it the host is held back.
 */
export class InputQueue {
  readonly #sink: InputSink;
  readonly #lowMark: () => void;
  readonly #maxBytes: number;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #isEnding = false;
  #isWriting = false;
  #isBroken = false;

  /** @param lowMark called when the queue, having been full, has room again */
  constructor(sink: InputSink, maxBytes: number, lowMark: () => void) {
    this.#sink = sink;
    this.#maxBytes = maxBytes;
    this.#lowMark = lowMark;
  }

  get isFull(): boolean {
    return this.#bytes > this.#maxBytes;
  }

  push(bytes: Uint8Array): void {
    if (this.#isBroken || this.#isEnding || bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#bytes += bytes.length;
    if (!this.#isWriting) void this.#write();
  }

  end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    if (!this.#isWriting) void this.#write();
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    try {
      for (let chunk = this.#chunks.shift(); chunk !== undefined; chunk = this.#chunks.shift()) {
        await this.#sink.write(chunk);
        const wasFull = this.isFull;
        this.#bytes -= chunk.length;
        if (wasFull && !this.isFull) this.#lowMark();
      }
      if (this.#isEnding) await this.#sink.end();
    } catch {
      this.#discard(); // the process has closed its input: what is sent from now on is for nobody
    }
    this.#isWriting = false;
  }

  #discard(): void {
    const wasFull = this.isFull;
    this.#isBroken = true;
    this.#chunks = [];
    this.#bytes = 0;
    if (wasFull) this.#lowMark();
  }
}
