import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeFrame, encodeTextFrame, FrameDecoder, FrameType, MAX_FRAME_BYTES } from "../src/exec-frame.ts";

const types = Object.values(FrameType);

test("frames survive any way of cutting the stream into chunks", () => {
  const frame = fc.record({ type: fc.constantFrom(...types), payload: fc.uint8Array({ maxLength: 40 }) });
  fc.assert(
    fc.property(fc.array(frame), fc.array(fc.integer({ min: 1, max: 30 })), (frames, cuts) => {
      const bytes = Buffer.concat(frames.map(({ type, payload }) => encodeFrame(type, payload)));
      const decoder = new FrameDecoder();
      const decoded = chunksOf(bytes, cuts).flatMap((chunk) => decoder.push(chunk));
      expect(decoded.map(({ type, payload }) => ({ type, payload: Uint8Array.from(payload) }))).toEqual(frames);
    }),
  );
});

test("a frame without payload and a text frame", () => {
  expect(encodeFrame(FrameType.stdinEnd)).toEqual(new Uint8Array([1, 0, 0, 0, 0]));
  expect(encodeTextFrame(FrameType.signal, "é")).toEqual(new Uint8Array([3, 0, 0, 0, 2, 0xc3, 0xa9]));
});

test("the largest frame passes, a longer one and an unknown type are refused as soon as their header is there", () => {
  const largest = encodeFrame(FrameType.stdout, new Uint8Array(MAX_FRAME_BYTES));
  expect(new FrameDecoder().push(largest)[0]?.payload).toHaveLength(MAX_FRAME_BYTES);
  expect(() => new FrameDecoder().push(new Uint8Array([4, 0, 0x10, 0, 1]))).toThrow(RangeError);
  expect(() => new FrameDecoder().push(new Uint8Array([7, 0, 0, 0, 0]))).toThrow(RangeError);
});

function chunksOf(bytes: Uint8Array, cuts: number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let rest = bytes;
  for (const cut of cuts) {
    chunks.push(rest.subarray(0, cut));
    rest = rest.subarray(cut);
  }
  return [...chunks, rest];
}
