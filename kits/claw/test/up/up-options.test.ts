import { expect, it } from "vitest";
import { readUpOptions } from "../../src/up-options.ts";

it("takes the command line over the environment", () => {
  const env = { AEGIS_HOME: "/env", CLAW_BOT_PAUSE_AFTER_IDLE_S: "9" };
  expect(readUpOptions([], env)).toEqual({ home: "/env", chatPort: 0, base: "auto", settingsFile: null, env });
  const given = readUpOptions(
    ["--home", "/line", "--chat-port", "8080", "--idle", "5", "--base", "local", "--settings", "/s"],
    env,
  );
  expect(given).toEqual({
    home: "/line",
    chatPort: 8080,
    base: "local",
    settingsFile: "/s",
    env: { AEGIS_HOME: "/line", CLAW_BOT_PAUSE_AFTER_IDLE_S: "5", CLAW_WORK_PAUSE_AFTER_IDLE_S: "5" },
  });
});

it.each([
  [["--frob"], "--frob"],
  [["--chat-port", "70000"], "--chat-port"],
  [["--chat-port", "x"], "--chat-port"],
  [["--base", "moon"], "auto, registry, local"],
  [["word"], "word"],
])("refuses %j", (args, said) => {
  expect(() => readUpOptions(args, {})).toThrow(said);
});
