import { expect, it } from "vitest";
import { JsonScanner } from "../../src/egress/json-scanner.ts";

/** @param cut how many bytes come at once */
function scan(wanted: string[], json: string, cut = 1): { found: [string, string | null][]; complete: boolean } {
  const found: [string, string | null][] = [];
  const scanner = new JsonScanner(wanted, (path, value) => found.push([path, value]));
  const bytes = Buffer.from(json);
  for (let at = 0; at < bytes.length; at += cut) scanner.push(bytes.subarray(at, at + cut));
  return { found, complete: scanner.complete };
}
const models = (json: string) => scan(["model"], json).found.map(([, value]) => value);

it("finds every value of a key at its level, and at no other", () => {
  expect(models('{"a":{"model":"x"},"model":"gpt","b":["model",{"model":"y"}]}')).toEqual(['"gpt"']);
  expect(models(' {"model" : "a" , "model":"b"}\n')).toEqual(['"a"', '"b"']);
  expect(models('{"a":"\\"model\\":\\"x\\"","b":"model"}')).toEqual([]);
  expect(models('{"model":null,"x":1}')).toEqual(["null"]);
  expect(models('{"model":{"a":[1,{"b":2}]}}')).toEqual(['{"a":[1,{"b":2}]}']);
});

it("finds a key however it is written", () => {
  expect(models('{"mod\\u0065l":"x"}')).toEqual(['"x"']);
  expect(models('{"MODEL":"x","Model":"y"}')).toEqual(['"x"', '"y"']);
});

it("keeps no more than a bounded part", () => {
  expect(models(`{"model":"${"x".repeat(100_000)}"}`)).toEqual([null]);
  expect(models(`{"${"k".repeat(100_000)}":1,"model":"x"}`)).toEqual(['"x"']);
});

it.each([
  "",
  "[]",
  '"model"',
  '{"a":1',
  '{"a":1}}',
  '{"a":1}{"model":"x"}',
  "{'model':'x'}",
  '{/*"a":*/"model":"x"}',
  '\ufeff{"a":1}',
  '{"a":1} x',
  '{"a":\0}',
  ":{}",
  ",{}",
])("does not take %j for one object", (json) => {
  expect(scan(["model"], json).complete).toBe(false);
});

it("agrees with JSON.parse about any object, cut anywhere", () => {
  let seed = 11;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((seed / 2_147_483_648) * below);
  };
  const strings = ["", "model", "usage", 'a"b', "\\", '\\"model\\":', "é\u2028", "{", "]", ",", "x".repeat(70)];
  const word = () => strings[random(strings.length)] ?? "";
  const value = (depth: number): unknown => {
    const kind = random(depth > 4 ? 4 : 7);
    if (kind === 0) return random(1000) / 7;
    if (kind === 1) return null;
    if (kind < 4) return word();
    if (kind === 4) return Array.from({ length: random(4) }, () => value(depth + 1));
    return Object.fromEntries(Array.from({ length: random(5) }, () => [word(), value(depth + 1)]));
  };
  for (let round = 0; round < 20_000; round++) {
    const object = { ...(value(0) as object), model: value(1), usage: { model: value(2) } };
    const json = JSON.stringify(object, null, random(3));
    const { found, complete } = scan(["model", "usage.model"], json, 1 + random(40));
    expect(complete).toBe(true);
    expect(new Map(found.map(([path, text]) => [path, text === null ? null : JSON.parse(text)]))).toEqual(
      new Map<string, unknown>([
        ["model", object.model],
        ["usage.model", object.usage.model],
      ]),
    );
  }
});
