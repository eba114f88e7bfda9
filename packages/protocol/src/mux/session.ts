import { decodeCredit, encodeMuxFrame, MuxError, type MuxFrame, MuxFrameType } from "./frame.ts";
import { MuxStream } from "./stream.ts";

/** Streams at once, those counted that were given up and wait for the other side to know. */
export const MAX_STREAMS = 1024;
/** About what is handed to the channel at once. */
const BATCH_BYTES = 32 * 1024;
/** What may still come for a stream that has ended on this side: a window of credit, and a reset. */
const STRAYS_PER_STREAM = 5;
const MAX_ID = 0xffff_ffff;

export interface SessionOptions {
  /** sent before everything else */
  lead: Uint8Array;
  /** told when {@link MuxSession.peek} has something that it did not have before */
  wake: () => void;
  /** takes the streams that the other side opens; null where it may not */
  opened: ((stream: MuxStream) => void) | null;
}

/**
 * The streams between two ends of a channel, from a hello on. What is sent is asked for ({@link peek}), so nothing piles
 * up here while the channel is full; the streams take turns, a frame each.
 */
export class MuxSession {
  readonly #options: SessionOptions;
  readonly #streams = new Map<number, MuxStream>();
  /** streams that may have something to send, in the order of their turns */
  readonly #turns = new Set<MuxStream>();
  #lastId = 0;
  #strays = 0;
  #batch: Uint8Array;
  #taken: (() => void)[] = [];
  #isClosed = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#batch = options.lead;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** @returns null when there are {@link MAX_STREAMS} already, or the session is over */
  open(): MuxStream | null {
    if (this.#isClosed || this.#streams.size >= MAX_STREAMS || this.#lastId === MAX_ID) return null;
    const stream = this.#add(this.#lastId + 1, false);
    this.#work(stream);
    return stream;
  }

  /** Breaks all streams. @param farewell still goes out, behind the frame that is on its way */
  close(error: Error, farewell?: Uint8Array): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#taken = [];
    if (farewell !== undefined) this.#batch = concat([this.#batch, farewell]);
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    this.#turns.clear();
    for (const stream of streams) stream.break(new Error(error.message, { cause: error }));
  }

  /** @throws MuxError when the other side does what it may not: the session is to be closed */
  receive({ type, id, payload }: MuxFrame): void {
    if (this.#isClosed) return;
    if (type === MuxFrameType.open) return this.#receiveOpen(id);
    if (type === MuxFrameType.hello || type === MuxFrameType.answer)
      throw new MuxError("a greeting in the middle of a session");
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#receiveStray(type, id);
    switch (type) {
      case MuxFrameType.data:
        return stream.receiveData(payload);
      case MuxFrameType.fin:
        stream.receiveFin();
        break;
      case MuxFrameType.reset:
        stream.receiveReset();
        break;
      case MuxFrameType.credit:
        return stream.receiveCredit(decodeCredit(payload));
    }
    this.#retireIfOver(stream);
  }

  /** What the channel should take next; the same until it has {@link took} something. */
  peek(): Uint8Array | null {
    if (this.#batch.length === 0) this.#nextBatch();
    return this.#batch.length === 0 ? null : this.#batch;
  }

  took(bytes: number): void {
    this.#batch = this.#batch.subarray(bytes);
    if (this.#batch.length > 0) return;
    const taken = this.#taken;
    this.#taken = [];
    for (const done of taken) done();
  }

  #nextBatch(): void {
    const frames: Uint8Array[] = [];
    let bytes = 0;
    for (const stream of this.#turns) {
      this.#turns.delete(stream);
      const frame = stream.nextFrame(this.#taken);
      this.#retireIfOver(stream);
      if (frame === null) continue;
      this.#turns.add(stream); // behind all others, in this very loop
      frames.push(frame);
      bytes += frame.length;
      if (bytes >= BATCH_BYTES) break;
    }
    this.#batch = concat(frames);
  }

  #receiveOpen(id: number): void {
    const { opened } = this.#options;
    if (opened === null) throw new MuxError("a stream from the side that opens none");
    if (id <= this.#lastId) throw new MuxError("a stream under an id that was used before");
    if (this.#streams.size >= MAX_STREAMS) throw new MuxError(`more than ${MAX_STREAMS} streams`);
    opened(this.#add(id, true));
  }

  #receiveStray(type: MuxFrameType, id: number): void {
    const isLate = type === MuxFrameType.credit || type === MuxFrameType.reset;
    if (!isLate || id === 0 || id > this.#lastId || this.#strays === 0)
      throw new MuxError("a frame of a stream that is not there");
    this.#strays -= 1;
  }

  #add(id: number, announced: boolean): MuxStream {
    const stream = new MuxStream(id, announced, (of) => this.#work(of));
    this.#lastId = id;
    this.#streams.set(id, stream);
    return stream;
  }

  #work(stream: MuxStream): void {
    if (this.#streams.get(stream.id) !== stream) return;
    if (stream.wasNever) return this.#retire(stream);
    this.#turns.add(stream);
    this.#options.wake();
  }

  #retireIfOver(stream: MuxStream): void {
    if (stream.isOver && this.#streams.get(stream.id) === stream) this.#retire(stream);
  }

  #retire(stream: MuxStream): void {
    this.#streams.delete(stream.id);
    this.#turns.delete(stream);
    this.#strays += STRAYS_PER_STREAM;
  }
}

/** What a guest says to a host that broke the protocol: of a stream that is never there. */
export const FAREWELL = encodeMuxFrame(MuxFrameType.reset, 0);

function concat(parts: Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (parts.length === 1 && first !== undefined) return first;
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
