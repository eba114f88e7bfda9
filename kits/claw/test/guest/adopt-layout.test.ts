import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { adoptLayout } from "../../guest/bot/adopt-layout.ts";

let workspace: string;
beforeEach(() => {
  workspace = mkdtempSync(join(tmpdir(), "layout-"));
  onTestFinished(() => rmSync(workspace, { recursive: true }));
});

const put = (path: string, text = path): void => {
  mkdirSync(dirname(join(workspace, path)), { recursive: true });
  writeFileSync(join(workspace, path), text);
};
const read = (path: string): string => readFileSync(join(workspace, path), "utf8");

test.each([
  ["the home is the workspace", ".openclaw"],
  ["the home is called .openclaw itself", ".openclaw/.openclaw"],
  ["the home is where the state is", "state/.openclaw"],
  ["both", "state/.openclaw/.openclaw"],
])("%s: its state is taken over, with the agent's notes", (_name, folder) => {
  put(`${folder}/openclaw.json`, "{}");
  put(`${folder}/state/openclaw.sqlite`, "db");
  put(`${folder}/workspace/AGENTS.md`, "notes");
  expect(adoptLayout(workspace)).toMatch(/taken over/);
  expect([read("state/openclaw.json"), read("state/state/openclaw.sqlite"), read("agent/AGENTS.md")]).toEqual([
    "{}",
    "db",
    "notes",
  ]);
  expect(adoptLayout(workspace)).toBeNull();
});

test("the workspace is the state folder itself", () => {
  put("openclaw.json", "{}");
  put("agents/main/agent/openclaw-agent.sqlite", "db");
  adoptLayout(workspace);
  expect([read("state/openclaw.json"), read("state/agents/main/agent/openclaw-agent.sqlite")]).toEqual(["{}", "db"]);
  expect(existsSync(join(workspace, "openclaw.json"))).toBe(false);
});

test("what was there is put aside, never lost", () => {
  put("state/.openclaw/openclaw.json", "old");
  put("state/notes.txt", "mine");
  adoptLayout(workspace);
  expect([read("state/openclaw.json"), read("state.before/notes.txt")]).toEqual(["old", "mine"]);
});

test("the bot's own layout and an empty workspace stay as they are", () => {
  expect(adoptLayout(workspace)).toBeNull();
  put("state/openclaw.json");
  put(".openclaw/openclaw.json");
  expect(adoptLayout(workspace)).toBeNull();
  expect(existsSync(join(workspace, ".openclaw/openclaw.json"))).toBe(true);
});

test.each([
  ["before the state was put aside", ["state/notes.txt"]],
  ["after it", ["state.before/notes.txt"]],
])("one that was cut off %s is finished", (_name, files) => {
  put(".claw-moving/openclaw.json", "moved");
  for (const file of files) put(file, "mine");
  adoptLayout(workspace);
  expect([read("state/openclaw.json"), read("state.before/notes.txt")]).toEqual(["moved", "mine"]);
});

test("a gathering that was cut off is finished", () => {
  put(".claw-moving.part/agents/a", "moved already");
  put("openclaw.json", "{}");
  adoptLayout(workspace);
  expect([read("state/agents/a"), read("state/openclaw.json")]).toEqual(["moved already", "{}"]);
});
