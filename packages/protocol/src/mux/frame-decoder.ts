import { MUX_HEADER_BYTES, type MuxFrame, parseMuxHeader } from "./frame.ts";
import { RESYNC_RUN } from "./resync.ts";

interface Partial {
  frame: MuxFrame;
  filled: number;
}

export interface FrameTaker {
  /** the payload is the taker's own */
  frame(frame: MuxFrame): void;
  /** what came is no frame; the decoder is lost */
  malformed(): void;
}

/**
 * Cuts a byte stream into frames. Zero bytes between frames say nothing, where the sender may begin anew; elsewhere nobody
 * sends them, and who does without end would keep the reader busy. A decoder that is lost skips everything up to a run of
 * zeros that no payload can hold.
 */
export class MuxFrameDecoder {
  readonly #taker: FrameTaker;
  readonly #beginsAnew: boolean;
  readonly #header = new Uint8Array(MUX_HEADER_BYTES);
  #headerFilled = 0;
  #partial: Partial | null = null;
  /** zeros in a row, while lost */
  #run: number | null = null;

  /** @param beginsAnew whether the sender does, with zeros */
  constructor(taker: FrameTaker, beginsAnew: boolean) {
    this.#taker = taker;
    this.#beginsAnew = beginsAnew;
  }

  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#run !== null) at = this.#skip(chunk, at, this.#run);
      else if (this.#partial !== null) at = this.#fill(chunk, at, this.#partial);
      else at = this.#readHeader(chunk, at);
    }
  }

  /** Takes nothing more before the next run of zeros; may be called while a frame is handed out. */
  lose(): void {
    this.#run = 0;
    this.#partial = null;
    this.#headerFilled = 0;
  }

  #skip(chunk: Uint8Array, from: number, run: number): number {
    let length = run;
    for (let at = from; at < chunk.length; at++) {
      length = chunk[at] === 0 ? length + 1 : 0;
      if (length < RESYNC_RUN) continue;
      this.#run = null;
      return at + 1;
    }
    this.#run = length;
    return chunk.length;
  }

  #readHeader(chunk: Uint8Array, from: number): number {
    let at = from;
    if (this.#beginsAnew && this.#headerFilled === 0) while (chunk[at] === 0) at++;
    const part = chunk.subarray(at, at + MUX_HEADER_BYTES - this.#headerFilled);
    this.#header.set(part, this.#headerFilled);
    this.#headerFilled += part.length;
    if (this.#headerFilled === MUX_HEADER_BYTES) this.#begin();
    return at + part.length;
  }

  #begin(): void {
    this.#headerFilled = 0;
    const header = parseMuxHeader(this.#header);
    if (header === null) {
      this.lose();
      return this.#taker.malformed();
    }
    const { type, id, length } = header;
    const frame = { type, id, payload: new Uint8Array(length) };
    if (length === 0) this.#taker.frame(frame);
    else this.#partial = { frame, filled: 0 };
  }

  #fill(chunk: Uint8Array, from: number, partial: Partial): number {
    const { payload } = partial.frame;
    const part = chunk.subarray(from, from + payload.length - partial.filled);
    payload.set(part, partial.filled);
    partial.filled += part.length;
    if (partial.filled === payload.length) {
      this.#partial = null;
      this.#taker.frame(partial.frame);
    }
    return from + part.length;
  }
}
