import fc from "fast-check";
import { expect, test } from "vitest";
import { GuestError } from "../src/guest-error.ts";
import { parseStreamHeader } from "../src/stream-header.ts";

const exec = { kind: "exec", exec_id: "e", command: ["a"], env: { A: "b" }, cwd: null, user: null, tty: null };

test.each([
  { kind: "control" },
  { kind: "port", port: 65535 },
  { kind: "accept", stream_id: "x" },
  exec,
  { ...exec, cwd: "/", user: "0", tty: { cols: 80, rows: 24 } },
])("%j is a header", (header) => {
  expect(parseStreamHeader(JSON.stringify(header))).toEqual(header);
});

test.each([
  { ...exec, command: [] },
  { ...exec, command: [""] },
  { ...exec, command: ["a\0b"] },
  { ...exec, command: "a" },
  { ...exec, env: { "A=B": "c" } },
  { ...exec, env: { A: 1 } },
  { ...exec, env: [] },
  { ...exec, cwd: 1 },
  { ...exec, user: undefined },
  { ...exec, tty: { cols: 0, rows: 1 } },
  { ...exec, tty: { cols: 1.5, rows: 1 } },
  { kind: "port", port: "80" },
  { kind: "port", port: 65536 },
  { kind: "accept" },
  { kind: "other" },
  null,
])("%j is none", (header) => {
  expect(() => parseStreamHeader(JSON.stringify(header))).toThrow(GuestError);
});

test("no text makes it fail in another way", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (line) => {
      try {
        parseStreamHeader(line);
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(GuestError);
      }
    }),
  );
});
