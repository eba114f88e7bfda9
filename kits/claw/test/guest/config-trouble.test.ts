import { expect, test } from "vitest";
import { configTrouble } from "../../guest/bot/config-trouble.ts";

test.each([
  ['{\n  "gateway": {},\n  "agent": {"model": "x"}\n}', 'line 3: "agent" is a key of older versions'],
  ['{\n  "gatewey": {}\n}', 'line 2: "gatewey" is a key that OpenClaw does not know'],
  ['{\n  "gateway": {},\n}', /^line 3 is no JSON/],
  ['{\n  "gateway": {', /^line 2 is no JSON/],
  ["", /^line 1 is no JSON/],
  ["[]", "line 1: it is no object"],
])("%j", (text, trouble) => {
  expect(configTrouble(text)).toEqual(typeof trouble === "string" ? trouble : expect.stringMatching(trouble));
});

test("one that OpenClaw takes has none", () => {
  expect(configTrouble('{"gateway": {"port": 1}, "agents": {}}')).toBeNull();
});
