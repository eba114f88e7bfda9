import { expect, test } from "vitest";
import { keyPlan } from "../../guest/bot/key-inside.ts";

const folders = { state: "/workspace/state", boot: "/tmp/openclaw" };
const plan = (how: "env" | "file", openclaw: string) =>
  keyPlan({ how, openclaw, base_url: "http://x" }, "sk-1", folders);

test("2026.2 reads auth-profiles.json", () => {
  const { file, apiKey, inEnv } = plan("file", "2026.2.26");
  expect(file?.path).toBe("/workspace/state/agents/main/agent/auth-profiles.json");
  expect(JSON.parse(file?.text ?? "")).toEqual({
    version: 1,
    profiles: { "claw:default": { type: "api_key", provider: "claw", key: "sk-1" } },
  });
  expect([apiKey, inEnv]).toEqual([null, false]);
});

test("today a SecretRef names the file, which is no part of the state", () => {
  expect(plan("file", "2026.9.6")).toEqual({
    file: { path: "/tmp/openclaw/llm-key", text: "sk-1" },
    apiKey: { source: "file", provider: "claw", id: "value" },
    providers: { claw: { source: "file", path: "/tmp/openclaw/llm-key", mode: "singleValue" } },
    inEnv: false,
  });
});

test("env: no file holds the key", () => {
  expect(plan("env", "2026.9.6")).toEqual({
    file: null,
    apiKey: { source: "env", provider: "default", id: "CLAW_LLM_KEY" },
    providers: { default: { source: "env" } },
    inEnv: true,
  });
  expect(plan("env", "2026.2.26")).toMatchObject({ file: null, apiKey: "${CLAW_LLM_KEY}", inEnv: true });
});
