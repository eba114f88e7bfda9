import { expect, test } from "vitest";
import { FirstLine } from "../src/first-line.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

test("the line comes once it is whole, with every byte behind it", () => {
  const first = new FirstLine(10);
  expect(first.push(bytes("he"))).toBeNull();
  expect(first.push(new Uint8Array(0))).toBeNull();
  expect(first.push(bytes("llo\n\n\u0000rest"))).toEqual({ line: "hello", rest: bytes("\n\u0000rest") });
});

test("an empty line is a line", () => {
  expect(new FirstLine(1).push(bytes("\n"))).toEqual({ line: "", rest: new Uint8Array(0) });
});

test("the limit counts the line, not what follows", () => {
  expect(new FirstLine(3).push(bytes("abc\nlong rest"))?.line).toBe("abc");
  expect(() => new FirstLine(3).push(bytes("abcd\n"))).toThrow(RangeError);
  expect(() => new FirstLine(3).push(bytes("abcd"))).toThrow(RangeError);
});
