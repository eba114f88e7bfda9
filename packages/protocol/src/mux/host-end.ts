import { MuxError, type MuxFrame } from "./frame.ts";
import { MuxFrameDecoder } from "./frame-decoder.ts";
import { AnswerFinder, greeting } from "./resync.ts";
import { MAX_STREAMS, MuxSession } from "./session.ts";
import { type MuxStream, WINDOW_BYTES } from "./stream.ts";

/** What is read of an old session at most before the guest must have answered: all that its host had let it send, twice. */
const MAX_UNANSWERED_BYTES = 2 * MAX_STREAMS * WINDOW_BYTES;

/**
 * The host's end of a channel, for one session: it greets, and opens streams at once. A guest that breaks the protocol
 * loses the session.
 */
export class MuxHostEnd {
  readonly #session: MuxSession;
  readonly #finder: AnswerFinder;
  readonly #decoder = new MuxFrameDecoder(
    { frame: (frame) => this.#take(frame), malformed: () => this.#fail(new MuxError("what is no frame")) },
    false,
  );
  #unanswered: number | null = 0;
  #failure: MuxError | null = null;

  /** @param nonce random; @param wake told when {@link peek} has something that it did not have before */
  constructor(nonce: Uint8Array, wake: () => void) {
    this.#finder = new AnswerFinder(nonce);
    this.#session = new MuxSession({ lead: greeting(nonce), wake, opened: null });
  }

  /** @returns null when there are as many streams as there can be, or the session is over */
  open(): MuxStream | null {
    return this.#session.open();
  }

  peek(): Uint8Array | null {
    return this.#session.isClosed ? null : this.#session.peek();
  }

  took(bytes: number): void {
    this.#session.took(bytes);
  }

  /** @throws MuxError when the guest has broken the protocol; the session is then closed */
  receive(chunk: Uint8Array): void {
    if (this.#session.isClosed) return;
    const bytes = this.#unanswered === null ? chunk : this.#awaitAnswer(chunk, this.#unanswered);
    if (bytes !== null) this.#decoder.push(bytes);
    if (this.#failure !== null) throw this.#failure;
  }

  close(error: Error): void {
    this.#session.close(error);
  }

  #awaitAnswer(chunk: Uint8Array, before: number): Uint8Array | null {
    const rest = this.#finder.push(chunk);
    this.#unanswered = rest === null ? before + chunk.length : null;
    if (this.#unanswered !== null && this.#unanswered > MAX_UNANSWERED_BYTES) this.#fail(new MuxError("no answer"));
    return rest;
  }

  #take(frame: MuxFrame): void {
    try {
      this.#session.receive(frame);
    } catch (thrown) {
      if (!(thrown instanceof MuxError)) throw thrown;
      this.#fail(thrown);
    }
  }

  #fail(failure: MuxError): void {
    this.#failure ??= failure;
    this.#decoder.lose();
    this.close(failure);
  }
}
