import fc from "fast-check";
import { expect, test } from "vitest";
import {
  decodeCredit,
  encodeCredit,
  encodeMuxFrame,
  MAX_MUX_PAYLOAD_BYTES,
  type MuxFrame,
  MuxFrameType,
} from "../../src/mux/frame.ts";
import { MuxFrameDecoder } from "../../src/mux/frame-decoder.ts";
import { AnswerFinder, answerTo, greeting, NONCE_BYTES, nonceOf, RESYNC_RUN } from "../../src/mux/resync.ts";
import { chunksOf } from "./chunks.ts";

function decoder(beginsAnew = true) {
  const seen: (MuxFrame | "malformed")[] = [];
  const taker = { frame: (one: MuxFrame) => seen.push(one), malformed: () => seen.push("malformed") };
  const frames = new MuxFrameDecoder(taker, beginsAnew);
  return { seen, push: (bytes: Uint8Array) => frames.push(bytes) };
}

const id = fc.integer({ min: 1, max: 0xffff_ffff });
const cuts = fc.array(fc.integer({ min: 1, max: 50 }));
const frame = fc.oneof(
  fc.record({
    type: fc.constantFrom(MuxFrameType.open, MuxFrameType.fin, MuxFrameType.reset),
    id,
    payload: fc.constant(new Uint8Array(0)),
  }),
  fc.record({ type: fc.constant(MuxFrameType.data), id, payload: fc.uint8Array({ minLength: 1, maxLength: 60 }) }),
);
const nonce = fc.uint8Array({ minLength: NONCE_BYTES, maxLength: NONCE_BYTES });
const encode = ({ type, id: of, payload }: MuxFrame) => encodeMuxFrame(type, of, payload);

test("frames survive any way of cutting the stream into chunks, zeros between them say nothing", () => {
  fc.assert(
    fc.property(fc.array(frame), cuts, fc.nat(20), (frames, cut, zeros) => {
      const bytes = Buffer.concat(frames.flatMap((one) => [Buffer.alloc(zeros), encode(one)]));
      const { seen, push } = decoder();
      for (const chunk of chunksOf(bytes, cut)) push(chunk);
      expect(seen).toEqual(frames);
    }),
  );
});

test("what no sender writes is malformed as soon as its header is there", () => {
  const bad = [
    [9, 0, 0, 0, 0, 0, 0, 1],
    [1, 1, 0, 0, 0, 0, 0, 1],
    [1, 0, 0, 1, 0, 0, 0, 1],
    [2, 0, 0, 0, 0, 0, 0, 1],
    [2, 0, 0x40, 0, 0, 0, 0, 1],
    [5, 0, 0, 3, 0, 0, 0, 1],
  ];
  for (const header of bad) {
    const { seen, push } = decoder();
    push(Uint8Array.from(header));
    expect(seen).toEqual(["malformed"]);
  }
  const { seen, push } = decoder();
  push(encodeMuxFrame(MuxFrameType.data, 1, new Uint8Array(MAX_MUX_PAYLOAD_BYTES)));
  expect(seen).toHaveLength(1);
});

test("zeros are malformed where the sender never begins anew", () => {
  const { seen, push } = decoder(false);
  push(encodeMuxFrame(MuxFrameType.fin, 1));
  push(new Uint8Array(8));
  expect(seen).toMatchObject([{ type: MuxFrameType.fin }, "malformed"]);
});

test("a greeting is understood behind any beginning of any frames, and behind any rubbish", () => {
  const largest = encodeMuxFrame(MuxFrameType.data, 7, new Uint8Array(MAX_MUX_PAYLOAD_BYTES));
  const before = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.tuple(fc.array(frame), fc.nat(60)).map(([frames, cut]) => {
      const bytes = Buffer.concat(frames.map(encode));
      return bytes.subarray(0, Math.max(0, bytes.length - cut));
    }),
    fc.nat(largest.length).map((length) => largest.subarray(0, length)),
  );
  fc.assert(
    fc.property(before, nonce, cuts, (bytes, of, cut) => {
      const { seen, push } = decoder();
      for (const chunk of chunksOf(bytes, cut)) push(chunk);
      push(greeting(of));
      const last = seen.at(-1);
      if (last === undefined || last === "malformed") throw new Error("no hello");
      expect(last.type).toBe(MuxFrameType.hello);
      expect(nonceOf(last.payload)).toEqual(of);
    }),
  );
});

test("a payload can hold no run of zeros that finds a lost decoder", () => {
  const zeros = encodeMuxFrame(MuxFrameType.data, 0x0100_0000, new Uint8Array(MAX_MUX_PAYLOAD_BYTES));
  const { seen, push } = decoder();
  push(Uint8Array.of(99, 0, 0, 0, 0, 0, 0, 0));
  for (let i = 0; i < 5; i++) push(zeros);
  push(encodeMuxFrame(MuxFrameType.open, 1));
  expect(seen).toEqual(["malformed"]);
  push(new Uint8Array(RESYNC_RUN));
  push(encodeMuxFrame(MuxFrameType.open, 1));
  expect(seen).toHaveLength(2);
});

test("the answer is found in any chunks behind anything, that of another session never", () => {
  fc.assert(
    fc.property(fc.uint8Array(), nonce, nonce, fc.uint8Array(), cuts, (old, of, other, rest, cut) => {
      fc.pre(!Buffer.from(of).equals(other));
      const finder = new AnswerFinder(of);
      const bytes = Buffer.concat([old, answerTo(other), answerTo(of).subarray(0, 20), answerTo(of), rest]);
      const found: Uint8Array[] = [];
      for (const chunk of chunksOf(bytes, cut)) {
        if (found.length > 0) found.push(chunk);
        else found.push(...[finder.push(chunk)].filter((behind) => behind !== null));
      }
      expect(Buffer.concat(found).equals(rest)).toBe(true);
    }),
  );
});

test("credit goes there and back, a hello of another protocol has no nonce", () => {
  expect(decodeCredit(encodeCredit(3, 0xfedc_ba98).subarray(8))).toBe(0xfedc_ba98);
  expect(nonceOf(new Uint8Array(24))).toBeNull();
  expect(() => answerTo(new Uint8Array(3))).toThrow(RangeError);
});
