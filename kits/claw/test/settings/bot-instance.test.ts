import { CreateInstance } from "@aegis/protocol/instance";
import { Value } from "typebox/value";
import { expect, test } from "vitest";
import type { ClawConfig } from "../../guest/claw-config.ts";
import { botInstance } from "../../src/bot-instance.ts";
import { loadSettings } from "../../src/settings.ts";

const around = {
  image: "claw:1",
  workspace: "claw-bot",
  openclaw: "2026.9.6",
  botApiUrl: "http://127.0.0.1:41001",
  webhookSecret: "hook",
  relayKey: "relay-key-value",
  demoModelUrl: "http://127.0.0.1:41002",
};
const token = "123456789:AAFabcdefghijklmnopqrstuvwxyz0123456";
const made = (env: Record<string, string>) => {
  const bot = botInstance(loadSettings(env), around);
  const config = JSON.parse(bot.create.env?.["CLAW_CONFIG"] ?? "") as ClawConfig;
  return { ...bot, config, llm: bot.create.bindings?.find(({ name }) => name === "llm") };
};

test("the body is one that the host API takes", () => {
  expect(Value.Check(CreateInstance, made({}).create)).toBe(true);
});

test("the processor time of an idle OpenClaw does not keep it awake", () => {
  expect(made({}).create.idle_policy).toBe("leases_only");
});

test("no secret is in the body, all of them are to be stored", () => {
  const { create, secrets } = made({ TELEGRAM_BOT_TOKEN: token, OPENAI_API_KEY: "sk-very-secret" });
  const body = JSON.stringify(create);
  for (const secret of [token, "sk-very-secret", "relay-key-value"]) expect(body).not.toContain(secret);
  expect(secrets).toEqual([
    { name: "claw-relay-key", value: "relay-key-value" },
    { name: "claw-llm-key", value: "sk-very-secret" },
  ]);
});

test("openai: the path stays outside, the key is a header that the host fills in", () => {
  const { llm, config } = made({
    OPENAI_BASE_URL: "https://router.example/api/v1",
    OPENAI_API_KEY: "k",
    OPENAI_MODEL: "m",
  });
  const base_url = "https://router.example/api/v1";
  expect(llm).toMatchObject({ llm: { provider: "openai-compatible", secret: "claw-llm-key", base_url } });
  expect(config.llm).toMatchObject({ api: "openai-completions", base_url: "http://127.0.0.1:8082/v1" });
});

test("anthropic", () => {
  const { llm, config } = made({ ANTHROPIC_API_KEY: "k" });
  const base_url = "https://api.anthropic.com";
  expect(llm).toMatchObject({ llm: { provider: "anthropic", secret: "claw-llm-key", base_url } });
  expect(config.llm).toMatchObject({ api: "anthropic-messages", base_url: "http://127.0.0.1:8082" });
});

test("without a key none is sent", () => {
  const { llm } = made({ OPENAI_BASE_URL: "http://127.0.0.1:11434/v1", OPENAI_MODEL: "m" });
  expect(llm?.llm).toEqual({ provider: "openai-compatible", base_url: "http://127.0.0.1:11434/v1" });
});

test("the demo model", () => {
  expect(made({}).llm).toEqual({
    name: "llm",
    port: 8082,
    llm: { provider: "openai-compatible", base_url: "http://127.0.0.1:41002/v1" },
  });
});

test("who may talk to the bot", () => {
  expect(made({}).config.chat.allow_from).toEqual(["42"]);
  expect(made({ TELEGRAM_BOT_TOKEN: token }).config.chat.allow_from).toBeNull();
  expect(made({ TELEGRAM_BOT_TOKEN: token, TELEGRAM_ALLOW_FROM: "7" }).config.chat.allow_from).toEqual(["7"]);
});

test("children get the model and their own workspaces only", () => {
  expect(made({ CLAW_OWN_TOOLS: "off" }).create.capabilities).toMatchObject({
    spawn: true,
    spawn_depth: 1,
    allowed_bindings: ["llm"],
    allowed_workspaces: ["work-*"],
    max_children: 8,
    max_memory_mb: 4096,
  });
  expect(made({}).create.capabilities).not.toHaveProperty("allowed_secrets");
  expect(made({}).create.capabilities).toMatchObject({
    spawn_depth: 1,
    allowed_bindings: ["llm"],
    allowed_workspaces: ["work-*", "sandbox-*"],
    max_children: 16,
    tree: { memory_mb: 8 * 4096 + 8 * 512 },
  });
});

test("it is asked before a pause, and goes on by itself after it", () => {
  expect(made({}).create.pause_hook).toEqual({ command: ["node", "/opt/claw/pause.mjs"], timeout_s: 20 });
});

test("a bot that dies is started again: it may have messages that nobody else has", () => {
  expect(made({}).create.restart).toBe("always");
});

test("a bot that polls is kept awake by leases alone and has no webhook", () => {
  const { create, config } = made({ TELEGRAM_BOT_TOKEN: token, TELEGRAM_MODE: "polling" });
  expect(create).toMatchObject({ idle_policy: "leases_only" });
  expect(config.chat.webhook_url).toBeNull();
});

test("behind a public URL the bot is the same as with the relay: a switch does not restart it", () => {
  const relay = made({ TELEGRAM_BOT_TOKEN: token });
  const webhook = { TELEGRAM_MODE: "webhook", TELEGRAM_PUBLIC_URL: "https://bot.example" };
  expect(made({ TELEGRAM_BOT_TOKEN: token, ...webhook }).create).toEqual(relay.create);
});

test.each(["env", "file"] as const)("auth %s: the bot is given the key, its work instances are not", (auth) => {
  const { create, config, secrets, ownKey } = made({
    CLAW_AUTH: auth,
    OPENAI_BASE_URL: "https://router.example/api/v1",
    OPENAI_API_KEY: "sk-very-secret",
    OPENAI_MODEL: "m",
  });
  expect(config.key).toEqual({ how: auth, openclaw: "2026.9.6", base_url: "http://127.0.0.1:8083" });
  expect(create.secrets).toEqual(["CLAW_LLM_KEY=claw-llm-key"]);
  expect(create.bindings).toContainEqual({
    name: "llm-own-key",
    port: 8083,
    upstream: "https://router.example/api/v1",
  });
  expect(create.capabilities).toMatchObject({ allowed_bindings: ["llm"] });
  expect(create.capabilities).not.toHaveProperty("allowed_secrets");
  expect(config.llm.base_url).toBe("http://127.0.0.1:8082/v1");
  expect(JSON.stringify(create)).not.toContain("sk-very-secret");
  expect([ownKey, secrets.at(-1)?.value]).toEqual(["claw-llm-key", "sk-very-secret"]);
});

test("by default the bot has no key", () => {
  expect(made({ OPENAI_API_KEY: "k" })).toMatchObject({ ownKey: null, config: { key: null } });
});
