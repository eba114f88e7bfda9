/**
 * Frames that carry many streams over one byte channel, both ways: type, a zero byte, two bytes of payload length, four
 * bytes of stream id, payload; numbers are big-endian. How a session begins: `resync.ts`.
 */
export const MuxFrameType = {
  /** host to guest: a stream under an id that is larger than all before */
  open: 1,
  data: 2,
  /** no more data in this direction */
  fin: 3,
  /** the sender neither sends nor takes anything more; the other side answers with its own, unless it has sent `fin` */
  reset: 4,
  /** four bytes: how much more may be sent */
  credit: 5,
  /** host to guest, first frame of a session */
  hello: 6,
  /** guest to host, first frame of a session */
  answer: 7,
} as const;
export type MuxFrameType = (typeof MuxFrameType)[keyof typeof MuxFrameType];

export interface MuxFrame {
  type: MuxFrameType;
  id: number;
  payload: Uint8Array;
}

export const MUX_HEADER_BYTES = 8;
/** Header included. */
export const MAX_MUX_FRAME_BYTES = 16 * 1024;
export const MAX_MUX_PAYLOAD_BYTES = MAX_MUX_FRAME_BYTES - MUX_HEADER_BYTES;
export const CREDIT_BYTES = 4;
export const HELLO_BYTES = 24;

/** The peer sent what it may not; the session is over. */
export class MuxError extends Error {
  override readonly name = "MuxError";
}

/** How long a payload of a type may be, as [least, most]. */
const payloadBounds: Record<MuxFrameType, readonly [number, number]> = {
  [MuxFrameType.open]: [0, 0],
  [MuxFrameType.data]: [1, MAX_MUX_PAYLOAD_BYTES],
  [MuxFrameType.fin]: [0, 0],
  [MuxFrameType.reset]: [0, 0],
  [MuxFrameType.credit]: [CREDIT_BYTES, CREDIT_BYTES],
  [MuxFrameType.hello]: [HELLO_BYTES, HELLO_BYTES],
  [MuxFrameType.answer]: [HELLO_BYTES, HELLO_BYTES],
};

const isType = (type: number): type is MuxFrameType => Object.hasOwn(payloadBounds, type);

export function encodeMuxFrame(type: MuxFrameType, id: number, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const frame = new Uint8Array(MUX_HEADER_BYTES + payload.length);
  const view = new DataView(frame.buffer);
  view.setUint8(0, type);
  view.setUint16(2, payload.length);
  view.setUint32(4, id);
  frame.set(payload, MUX_HEADER_BYTES);
  return frame;
}

export function encodeCredit(id: number, amount: number): Uint8Array {
  const payload = new Uint8Array(CREDIT_BYTES);
  new DataView(payload.buffer).setUint32(0, amount);
  return encodeMuxFrame(MuxFrameType.credit, id, payload);
}

export const decodeCredit = (payload: Uint8Array): number =>
  new DataView(payload.buffer, payload.byteOffset, CREDIT_BYTES).getUint32(0);

/** @returns the frame's type, id and payload length; null for what no sender writes */
export function parseMuxHeader(header: Uint8Array): { type: MuxFrameType; id: number; length: number } | null {
  const view = new DataView(header.buffer, header.byteOffset, MUX_HEADER_BYTES);
  const type = view.getUint8(0);
  const length = view.getUint16(2);
  if (!isType(type) || view.getUint8(1) !== 0) return null;
  const [least, most] = payloadBounds[type];
  return length < least || length > most ? null : { type, id: view.getUint32(4), length };
}
