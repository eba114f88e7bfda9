import { GrowingBytes } from "./growing-bytes.ts";

/**
 * Frames on an exec stream, both ways: one type byte, four bytes of big-endian payload length, payload.
 * Binary safe; a frame is at most {@link MAX_FRAME_BYTES} long.
 */
export const FrameType = {
  /** host to harness, bytes */
  stdin: 0,
  /** host to harness, empty: no more input */
  stdinEnd: 1,
  /** host to harness, JSON `{cols, rows}` */
  resize: 2,
  /** host to harness, signal name as text: `SIGINT` */
  signal: 3,
  /** harness to host, bytes */
  stdout: 4,
  /** harness to host, bytes; never with a terminal */
  stderr: 5,
  /** harness to host, JSON {@link ProcessExit}; the last frame */
  exit: 6,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export interface Frame {
  type: FrameType;
  payload: Uint8Array;
}

export const MAX_FRAME_BYTES = 1024 * 1024;
const HEADER_BYTES = 5;
const LAST_TYPE = FrameType.exit;

export function encodeFrame(type: FrameType, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  frame[0] = type;
  new DataView(frame.buffer).setUint32(1, payload.length);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

export const encodeTextFrame = (type: FrameType, text: string): Uint8Array =>
  encodeFrame(type, new TextEncoder().encode(text));

/** Collects chunks as they arrive and hands out whole frames. */
export class FrameDecoder {
  readonly #pending = new GrowingBytes();
  /** what must be there before it is worth looking again */
  #needed = HEADER_BYTES;

  /** @throws RangeError when the peer sends a frame that is too long or of an unknown type; the stream is then useless */
  push(chunk: Uint8Array): Frame[] {
    if (this.#pending.length > 0 || chunk.length < this.#needed) {
      this.#pending.append(chunk);
      if (this.#pending.length < this.#needed) return [];
    }
    let rest = this.#pending.length > 0 ? this.#pending.take() : chunk;
    const frames: Frame[] = [];
    for (let length = frameLength(rest); rest.length >= length; length = frameLength(rest)) {
      frames.push({ type: rest[0] as FrameType, payload: rest.subarray(HEADER_BYTES, length) });
      rest = rest.subarray(length);
    }
    this.#pending.append(rest);
    this.#needed = frameLength(rest);
    return frames;
  }
}

/** How long the frame is that begins here, its header included; that of a header while not even that is there. */
function frameLength(bytes: Uint8Array): number {
  if (bytes.length < HEADER_BYTES) return HEADER_BYTES;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = view.getUint8(0);
  const length = view.getUint32(1);
  if (type > LAST_TYPE) throw new RangeError(`exec frame: type ${type} is unknown`);
  if (length > MAX_FRAME_BYTES)
    throw new RangeError(`exec frame of ${length} bytes, at most ${MAX_FRAME_BYTES} are allowed`);
  return HEADER_BYTES + length;
}
