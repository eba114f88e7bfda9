import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { covers, globMatches } from "../../src/core/glob.ts";

describe("globMatches", () => {
  it.each([
    ["node:24", "node:24", true],
    ["node:24", "node:240", false],
    ["node:*", "node:24", true],
    ["*", "", true],
    ["*", "anything/at:all", true],
    ["a*b*c", "a-b-c", true],
    ["a*b*c", "acb", false],
    ["ab*ba", "aba", false],
    ["*x", "x", true],
  ])("%s on %s is %s", (pattern, text, expected) => {
    expect(globMatches(pattern, text)).toBe(expected);
  });

  it("agrees with a regular expression", () => {
    const word = fc.string({ unit: fc.constantFrom("a", "b", "*"), maxLength: 8 });
    fc.assert(
      fc.property(word, fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 10 }), (pattern, text) => {
        const regexp = new RegExp(`^${pattern.replaceAll("*", ".*")}$`);
        expect(globMatches(pattern, text)).toBe(regexp.test(text));
      }),
    );
  });
});

describe("covers", () => {
  it("is never true when a text matches the inner pattern only", () => {
    const pattern = fc.string({ unit: fc.constantFrom("a", "b", "*"), maxLength: 6 });
    const text = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 8 });
    fc.assert(
      fc.property(pattern, pattern, text, (outer, inner, candidate) => {
        fc.pre(covers([outer], [inner]) && globMatches(inner, candidate));
        expect(globMatches(outer, candidate)).toBe(true);
      }),
    );
  });

  it("lets nothing through an empty list", () => {
    expect(covers([], ["a"])).toBe(false);
    expect(covers([], [])).toBe(true);
  });
});
