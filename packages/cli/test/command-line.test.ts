import { describe, expect, it } from "vitest";
import { entries } from "../src/command-table.ts";
import { ROOT_HELP } from "../src/root-help.ts";
import { aegis } from "./run-in-test.ts";

const nowhere = { home: "/nowhere" };
const SCREEN_LINES = 40;
const SCREEN_COLUMNS = 100;

describe("help", () => {
  it.each(["", "--help", "-h"])("`aegis %s` is the screen with all commands", async (line) => {
    expect(await aegis(line, nowhere)).toEqual({ code: 0, stdout: ROOT_HELP, stderr: "" });
    for (const entry of entries) expect(ROOT_HELP).toContain(entry.name);
  });

  const commands = entries.flatMap((entry) =>
    "verbs" in entry ? [entry.name, ...entry.verbs.map((verb) => `${entry.name} ${verb.name}`)] : [entry.name],
  );
  it.each(["", ...commands])("`aegis %s --help` fits a screen", async (line) => {
    const { code, stdout } = await aegis(`${line} --help`, nowhere);
    const lines = stdout.trimEnd().split("\n");
    expect(code).toBe(0);
    expect(lines.length).toBeGreaterThan(3);
    expect(lines.length).toBeLessThanOrEqual(SCREEN_LINES);
    for (const text of lines) expect(text.length).toBeLessThanOrEqual(SCREEN_COLUMNS + 20);
  });

  it("shows a noun's verbs when it stands alone", async () => {
    const { code, stdout } = await aegis("instance", nowhere);
    expect(code).toBe(0);
    expect(stdout).toContain("unexpose");
  });
});

describe("a wrong line", () => {
  it.each([
    ["frob", "unknown command 'frob'", "aegis --help"],
    ["insance list", "Did you mean instance?", "aegis --help"],
    ["instance frob", "unknown command 'frob'", "aegis instance --help"],
    ["instance list --frob", "unknown option '--frob'", "aegis instance list --help"],
    ["instance info", "missing required argument 'name'", "aegis instance info --help"],
    ["instance info a b", "too many arguments", "aegis instance info --help"],
    ["run", "no command", "aegis run --help"],
    ["exec web", "no command", "aegis exec --help"],
    ["exec web ls -- pwd", "two commands", "aegis exec --help"],
    ["instance start", "nothing to start", "aegis instance start --help"],
    ["run --memory lots -- x", "512m or 2g", "aegis run --help"],
    ["run --expose 0 -- x", "not a port", "aegis run --help"],
    ["run --expose a:b -- x", "PUBLIC:GUEST", "aegis run --help"],
    ["run --env =x -- x", "NAME=value", "aegis run --help"],
    ["run --idle-timeout soon -- x", "90s, 5m", "aegis run --help"],
    ["run -d --rm -- x", "--detach does not go with", "aegis run --help"],
    ["logs web --tail x", "whole number", "aegis logs --help"],
    ["instance list --state asleep", "it is one of starting", "aegis instance list --help"],
    ["instance prune --older-than never", "90s, 5m", "aegis instance prune --help"],
  ])("%s", async (line, what, where) => {
    const { code, stdout, stderr } = await aegis(line, nowhere);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^aegis: .*\n$/);
    expect(stderr).toContain(what);
    expect(stderr).toContain(where);
  });

  it("is JSON where JSON was asked for", async () => {
    const { code, stdout, stderr } = await aegis("instance info --json", nowhere);
    expect(code).toBe(2);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toMatchObject({ code: "invalid_request", error: expect.stringContaining("'name'") });
  });
});

describe("without a daemon", () => {
  const needy = [
    "status",
    "instance list",
    "instance stop web",
    "logs web",
    "exec web -- ls",
    "run -- ls",
    "secret list",
    "image list",
    "events",
  ];
  it.each(needy)("`aegis %s` says how to start one", async (line) => {
    expect(await aegis(line, nowhere)).toEqual({
      code: 1,
      stdout: "",
      stderr: "aegis: aegisd is not running at /nowhere/aegisd.sock: start it with `aegis up`\n",
    });
  });

  it("says so in JSON, wherever --json stands", async () => {
    for (const line of ["--json instance list", "instance list --json", "instance --json list"]) {
      const { code, stdout } = await aegis(line, nowhere);
      expect(code).toBe(1);
      expect(JSON.parse(stdout)).toEqual({ error: expect.stringContaining("aegis up"), code: "unavailable" });
    }
  });

  it("has nothing to stop", async () => {
    expect(await aegis("down", nowhere)).toMatchObject({ code: 0, stdout: "aegisd is not running at /nowhere\n" });
  });
});
