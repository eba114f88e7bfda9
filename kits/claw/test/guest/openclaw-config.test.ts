import { expect, test } from "vitest";
import { heapLimitMb } from "../../guest/bot/heap.ts";
import { keyPlan } from "../../guest/bot/key-inside.ts";
import { openclawConfig } from "../../guest/bot/openclaw-config.ts";
import { botPaths } from "../../guest/bot/paths.ts";
import { type ClawConfig, readClawConfig } from "../../guest/claw-config.ts";
import { botInstance } from "../../src/bot-instance.ts";
import { loadSettings } from "../../src/settings.ts";

const configOf = (
  allowFrom: string[] | null,
  chat: Partial<ClawConfig["chat"]> = {},
  env: Record<string, string> = {},
) => {
  const { create } = botInstance(loadSettings(env), {
    image: "claw",
    workspace: "w",
    openclaw: "2026.9.6",
    botApiUrl: "http://127.0.0.1:1",
    webhookSecret: "hook",
    relayKey: "r",
    demoModelUrl: "http://127.0.0.1:2",
  });
  const config: ClawConfig = readClawConfig(create.env ?? {});
  Object.assign(config.chat, { allow_from: allowFrom }, chat);
  return openclawConfig(config, botPaths("/workspace", "/opt/claw"), "gateway-token");
};

test("what keeps people and the host apart is set", () => {
  const config = configOf(["42"]);
  expect(config.session.dmScope).toBe("per-channel-peer");
  expect(config.tools).toMatchObject({ toolSearch: false, profile: "minimal" });
  expect(config.gateway).toMatchObject({ bind: "loopback", port: 18789 });
  expect(config.telemetry.enabled || config.update.checkOnStart || config.models.catalogRefresh.enabled).toBe(false);
  expect(config.plugins.allow).toEqual(["telegram", "claw-kit"]);
});

test("the tools of the bot's own agent run in a sandbox of the chat, whoever asks for another place", () => {
  const { agents, tools } = configOf(["42"]);
  expect(agents.defaults.sandbox).toMatchObject({ mode: "all", backend: "aegis", scope: "session" });
  expect(tools).toMatchObject({ exec: { host: "sandbox" }, elevated: { enabled: false } });
  expect(tools.alsoAllow).toContain("exec");
  const off = configOf(["42"], {}, { CLAW_OWN_TOOLS: "off" });
  expect(off.tools.alsoAllow).toEqual(["claw-kit", "web_fetch"]);
  expect(off.agents.defaults).not.toHaveProperty("sandbox");
});

test.each([
  [{}, "0s"],
  [{ CLAW_HEARTBEAT_S: "never" }, "0s"],
  [{ CLAW_HEARTBEAT_S: "1800" }, "1800s"],
])("the heartbeat with %o", (env, every) => {
  expect(configOf(["42"], {}, env).agents.defaults.heartbeat).toEqual({ every });
});

test("the webhook listens where the host dials", () => {
  const { channels } = configOf(["42"]);
  expect(channels.telegram).toMatchObject({
    webhookHost: "127.0.0.1",
    webhookPort: 8787,
    webhookPath: "/telegram-webhook",
    webhookSecret: "hook",
    apiRoot: "http://127.0.0.1:8091",
  });
});

test.each([
  [null, { dmPolicy: "pairing" }],
  [["42"], { dmPolicy: "allowlist", allowFrom: ["42"] }],
  [["*"], { dmPolicy: "open", allowFrom: ["*"] }],
])("allow_from %o", (allowFrom, expected) => {
  expect(configOf(allowFrom).channels.telegram).toMatchObject(expected);
});

test("without a webhook OpenClaw polls: no key of one is left", () => {
  const keys = Object.keys(configOf(["42"], { webhook_url: null }).channels.telegram);
  expect(keys.filter((key) => key.startsWith("webhook"))).toEqual([]);
});

test("groups are closed but for those named, and there the bot has to be mentioned", () => {
  expect(configOf(["42"]).channels.telegram).toMatchObject({ groupPolicy: "disabled" });
  expect(configOf(["42"], { groups: ["-100123"] }).channels.telegram).toMatchObject({
    groupPolicy: "allowlist",
    groups: { "-100123": { requireMention: true } },
  });
});

test("the heap leaves room for the rest", () => {
  expect(heapLimitMb(2048)).toBe(1348);
  expect(heapLimitMb(512)).toBe(512);
});

test("a bot without its variable says which", () => {
  expect(() => readClawConfig({})).toThrow("CLAW_CONFIG");
});

test("a bot that has the key itself refers to it, and leaves its agents' binding to them", () => {
  const { create } = botInstance(loadSettings({ CLAW_AUTH: "file", OPENAI_API_KEY: "k" }), {
    image: "claw",
    workspace: "w",
    openclaw: "2026.9.6",
    botApiUrl: "http://127.0.0.1:1",
    webhookSecret: "hook",
    relayKey: "r",
    demoModelUrl: null,
  });
  const claw = readClawConfig(create.env ?? {});
  if (claw.key === null) throw new Error("the key is not inside");
  const plan = keyPlan(claw.key, "sk-1", { state: "/workspace/state", boot: "/tmp/openclaw" });
  const config = openclawConfig(claw, botPaths("/workspace", "/opt/claw"), "gateway-token", plan);
  expect(config.models.providers.claw).toMatchObject({
    baseUrl: "http://127.0.0.1:8083",
    apiKey: { source: "file", provider: "claw", id: "value" },
  });
  expect(config).toMatchObject({ secrets: { providers: { claw: { mode: "singleValue" } } } });
  expect(JSON.stringify(config)).not.toContain("sk-1");
});
