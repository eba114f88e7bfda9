import { MuxError, type MuxFrame, MuxFrameType } from "./frame.ts";
import { MuxFrameDecoder } from "./frame-decoder.ts";
import { answerTo, nonceOf } from "./resync.ts";
import { FAREWELL, MuxSession } from "./session.ts";
import type { MuxStream } from "./stream.ts";

export interface GuestEndOptions {
  opened: (stream: MuxStream) => void;
  /** told when {@link MuxGuestEnd.peek} has something that it did not have before */
  wake: () => void;
}

/** The guest's end of a channel, for its whole life: every hello of a host begins a new session and breaks the old one. */
export class MuxGuestEnd {
  readonly #options: GuestEndOptions;
  readonly #decoder = new MuxFrameDecoder(
    { frame: (frame) => this.#take(frame), malformed: () => this.#refuse(new MuxError("what is no frame")) },
    true,
  );
  #session: MuxSession | null = null;

  constructor(options: GuestEndOptions) {
    this.#options = options;
  }

  peek(): Uint8Array | null {
    return this.#session?.peek() ?? null;
  }

  took(bytes: number): void {
    this.#session?.took(bytes);
  }

  receive(chunk: Uint8Array): void {
    this.#decoder.push(chunk);
  }

  /** Nobody is at the other end: what is there of a session is for nobody. */
  hostGone(): void {
    const session = this.#session;
    this.#session = null;
    session?.close(new Error("the host is gone"));
  }

  #take(frame: MuxFrame): void {
    const nonce = frame.type === MuxFrameType.hello ? nonceOf(frame.payload) : null;
    if (nonce !== null) return this.#begin(nonce);
    if (this.#session === null) return; // of a session that is over
    try {
      this.#session.receive(frame);
    } catch (thrown) {
      if (!(thrown instanceof MuxError)) throw thrown;
      this.#decoder.lose();
      this.#refuse(thrown);
    }
  }

  #begin(nonce: Uint8Array): void {
    this.hostGone();
    const { opened, wake } = this.#options;
    this.#session = new MuxSession({ lead: answerTo(nonce), wake, opened });
    wake();
  }

  #refuse(error: MuxError): void {
    this.#session?.close(error, FAREWELL);
    this.#options.wake();
  }
}
