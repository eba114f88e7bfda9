import fc from "fast-check";
import { expect, test } from "vitest";
import { LogLines } from "../src/log-lines.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

test("lines come out as they went in, however the bytes are cut", () => {
  const line = fc.string({ unit: "grapheme", maxLength: 12 }).filter((text) => !text.includes("\n"));
  fc.assert(
    fc.property(fc.array(line), line, fc.integer({ min: 1, max: 7 }), (lines, rest, step) => {
      const input = bytes(lines.map((text) => `${text}\n`).join("") + rest);
      const splitter = new LogLines(1000);
      const found: string[] = [];
      for (let at = 0; at < input.length; at += step) found.push(...splitter.push(input.subarray(at, at + step)));
      expect(found).toEqual(lines);
      expect(splitter.rest()).toBe(rest === "" ? null : rest);
    }),
  );
});

test("a line at the limit is whole, one beyond it is cut and says by how much, the next is whole again", () => {
  const lines = new LogLines(4);
  expect(lines.push(bytes("abcd\nabcdefg\nxy\n"))).toEqual(["abcd", "abcd [cut: 3 more bytes in this line]", "xy"]);
});

test("a cut line needs no end to be bounded, and its end may come in pieces", () => {
  const lines = new LogLines(4);
  for (let i = 0; i < 100; i++) expect(lines.push(bytes("xxxxx"))).toEqual([]);
  expect(lines.push(bytes("\n"))).toEqual(["xxxx [cut: 496 more bytes in this line]"]);
  lines.push(bytes("123456"));
  expect(lines.rest()).toBe("1234 [cut: 2 more bytes in this line]");
  expect(lines.rest()).toBeNull();
});

test.each([
  ["abcé\n", "abc [cut: 2 more bytes in this line]"],
  ["ab😀\n", "ab [cut: 4 more bytes in this line]"],
  ["éé!\n", "éé [cut: 1 more bytes in this line]"],
  ["😀!\n", "😀 [cut: 1 more bytes in this line]"],
])("a cut of %j does not go through a character", (text, cut) => {
  expect(new LogLines(4).push(bytes(text))).toEqual([cut]);
});

test("bytes that are no UTF-8 become replacement characters, a byte order mark stays", () => {
  expect(new LogLines(9).push(new Uint8Array([0xff, 0x61, 10, 0xef, 0xbb, 0xbf, 0x62, 10]))).toEqual([
    "\ufffda",
    "\ufeffb",
  ]);
});
