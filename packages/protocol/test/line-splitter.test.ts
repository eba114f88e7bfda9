import fc from "fast-check";
import { expect, test } from "vitest";
import { LineSplitter } from "../src/line-splitter.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

test("lines come out as they went in, however the bytes are cut", () => {
  const line = fc.string({ unit: "grapheme", maxLength: 12 }).filter((text) => !/[\n\ufeff]/.test(text));
  fc.assert(
    fc.property(fc.array(line), line, fc.integer({ min: 1, max: 7 }), (lines, rest, step) => {
      const input = bytes(lines.map((text) => `${text}\n`).join("") + rest);
      const splitter = new LineSplitter(1000);
      const found: string[] = [];
      for (let at = 0; at < input.length; at += step) found.push(...splitter.push(input.subarray(at, at + step)));
      expect(found).toEqual(lines);
      expect(splitter.rest()).toBe(rest === "" ? null : rest);
    }),
  );
});

test("a line at the limit passes, one beyond it does not, whether it ends or not", () => {
  expect(new LineSplitter(4).push(bytes("abcd\n"))).toEqual(["abcd"]);
  expect(() => new LineSplitter(4).push(bytes("abcde\n"))).toThrow(RangeError);
  const splitter = new LineSplitter(4);
  splitter.push(bytes("abc"));
  expect(() => splitter.push(bytes("de"))).toThrow(RangeError);
});

test("bytes that are no UTF-8 become replacement characters", () => {
  expect(new LineSplitter(10).push(new Uint8Array([0x61, 0xff, 10]))).toEqual(["a\ufffd"]);
});
