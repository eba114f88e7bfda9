import { expect, it } from "vitest";
import { powerFields } from "../src/options/power-options.ts";
import { hookCall, pauseHook } from "../src/options/pause-hook.ts";

it.each([
  ["8080/may-sleep?now=1", { http: { port: 8080, path: "/may-sleep?now=1" } }],
  ["sh /srv/may-sleep.sh --quiet", { command: ["sh", "-c", "sh /srv/may-sleep.sh --quiet"] }],
  ['["/bin/ask", "me"]', { command: ["/bin/ask", "me"] }],
  ["none", "none"],
])("takes %s", (text, hook) => expect(pauseHook(text)).toEqual(hook));

it.each(["", " ", "[]", "[1]", "[sh"])("does not take %j", (text) =>
  expect(() => hookCall(text)).toThrow("write it as a shell command"),
);

it("puts question and telling together", () => {
  const [ask, tell] = [hookCall("8080/ask"), hookCall("8080/tell")];
  expect(powerFields({ pauseHook: ask, resumeHook: tell })).toEqual({ pause_hook: { ...ask, resume: tell } });
  expect(powerFields({ pauseHook: "none" })).toEqual({ pause_hook: null });
  expect(powerFields({})).toEqual({});
  expect(() => powerFields({ resumeHook: tell })).toThrow("--resume-hook goes with --pause-hook");
});
