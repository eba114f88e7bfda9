import { encodeMuxFrame, HELLO_BYTES, MAX_MUX_FRAME_BYTES, MuxFrameType } from "./frame.ts";

/**
 * How a session begins on a channel that may be in the middle of anything: of a frame of a daemon that was killed, or of
 * a session that a snapshot of the machine holds.
 *
 * The host sends zeros and a hello with a nonce. The zeros complete whatever frame the guest was in, and more of them
 * follow one another than any payload can hold, which is how a guest that is lost finds the start. The guest forgets the
 * old session and answers with the nonce. What the host reads before is of the old session.
 */
export const RESYNC_RUN = MAX_MUX_FRAME_BYTES + 64;
const FILLER_BYTES = MAX_MUX_FRAME_BYTES + RESYNC_RUN;

export const NONCE_BYTES = 16;
/** "aegismx" and the version of the protocol */
const MAGIC = Uint8Array.of(0x61, 0x65, 0x67, 0x69, 0x73, 0x6d, 0x78, 1);

/** What a host sends first. @param nonce random: what was never sent before is never taken for an answer */
export function greeting(nonce: Uint8Array): Uint8Array {
  const hello = encodeMuxFrame(MuxFrameType.hello, 0, withMagic(nonce));
  const bytes = new Uint8Array(FILLER_BYTES + hello.length);
  bytes.set(hello, FILLER_BYTES);
  return bytes;
}

export const answerTo = (nonce: Uint8Array): Uint8Array => encodeMuxFrame(MuxFrameType.answer, 0, withMagic(nonce));

/** @returns the nonce of a hello's payload; null when it is of another protocol */
export function nonceOf(payload: Uint8Array): Uint8Array | null {
  return MAGIC.every((byte, at) => payload[at] === byte) ? payload.slice(MAGIC.length) : null;
}

function withMagic(nonce: Uint8Array): Uint8Array {
  if (nonce.length !== NONCE_BYTES) throw new RangeError(`a nonce has ${NONCE_BYTES} bytes`);
  const payload = new Uint8Array(HELLO_BYTES);
  payload.set(MAGIC);
  payload.set(nonce, MAGIC.length);
  return payload;
}

/** Drops everything up to and with the answer to one's own hello. */
export class AnswerFinder {
  readonly #answer: Uint8Array;
  #tail = new Uint8Array(0);

  constructor(nonce: Uint8Array) {
    this.#answer = answerTo(nonce);
  }

  /** @returns what follows the answer; null while it has not come */
  push(chunk: Uint8Array): Uint8Array | null {
    const bytes = new Uint8Array(this.#tail.length + chunk.length);
    bytes.set(this.#tail);
    bytes.set(chunk, this.#tail.length);
    const [first = 0] = this.#answer;
    for (let at = bytes.indexOf(first); at !== -1; at = bytes.indexOf(first, at + 1)) {
      const matches = this.#answer.every((byte, index) => bytes[at + index] === byte);
      if (matches) return bytes.subarray(at + this.#answer.length);
    }
    this.#tail = bytes.slice(Math.max(0, bytes.length - this.#answer.length + 1));
    return null;
  }
}
