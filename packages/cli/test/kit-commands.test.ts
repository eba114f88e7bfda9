import { expect, it } from "vitest";
import { installedKits } from "@aegis/sdk/installed-kits";
import { kitCommandLine } from "../src/run/kit-call.ts";
import { aegis } from "./run-in-test.ts";

const kit = {
  name: "claw",
  summary: "a bot",
  instances: ["claw-bot"],
  folder: "/kits/claw",
  commands: {
    setup: { summary: "asks", entry: "src/main.ts", args: ["setup"] },
    down: { summary: "ends it", entry: "src/main.ts", args: ["down"], root: true },
  },
};
const machine = { node: "/node", isRoot: false, env: { AEGIS_HOME: "/h", CLAW_MODEL: "m", HOME: "/home/me" } };
const line = (verb: string, args: string[] = [], more = {}) =>
  kitCommandLine({ kit: "claw", verb, args }, { ...machine, ...more }, [kit]);

it("runs the kit's own program with what the person gave", () => {
  const [program, , ...rest] = line("setup", ["--yes"]);
  expect([program, ...rest]).toEqual(["/node", "/kits/claw/src/main.ts", "setup", "--yes"]);
});

it("goes through sudo where the kit needs root, with the settings and nothing else of the environment", () => {
  expect(line("down").slice(0, 3)).toEqual(["sudo", "--preserve-env=AEGIS_HOME,CLAW_MODEL", "/node"]);
  expect(line("down", [], { isRoot: true })[0]).toBe("/node");
});

it("says what there is", () => {
  expect(() => line("fly")).toThrow("it has setup, down");
  expect(() => kitCommandLine({ kit: "x", verb: "up", args: [] }, machine, [kit])).toThrow("the kits here are claw");
});

it("lists the kits of this clone without a daemon", async () => {
  const { code, stdout } = await aegis("kit list --json", { home: "/nowhere" });
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual([
    expect.objectContaining({ name: "claw", commands: expect.objectContaining({ setup: expect.any(String) }) }),
  ]);
  expect((await aegis("kit list", { home: "/nowhere" })).stdout).toMatch(/^claw: .*\n[\s\S]*setup/);
});

it("gives every verb of the kits a command", async () => {
  const { stdout } = await aegis("kit", { home: "/nowhere" });
  for (const { commands } of installedKits()) for (const verb of Object.keys(commands)) expect(stdout).toContain(verb);
});
