import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import { expect, onTestFinished, test } from "vitest";
import { loadSettings } from "../../src/settings.ts";

const token = "123456789:AAFabcdefghijklmnopqrstuvwxyz0123456";

const refusal = (env: Record<string, string>): string => {
  try {
    loadSettings(env);
  } catch (error) {
    if (error instanceof AegisError) return error.message;
    throw error;
  }
  throw new Error("the settings were taken");
};

test("nothing set: the local chat and the demo model", () => {
  const { telegram, llm, work, bot } = loadSettings({});
  expect(telegram).toBeNull();
  expect(llm).toEqual({ kind: "demo" });
  expect(work.memory_mb).toBe(1536);
  expect(bot.memory_mb).toBe(2048);
});

test("blank counts as not set", () => {
  expect(loadSettings({ TELEGRAM_BOT_TOKEN: " ", OPENAI_API_KEY: "" }).llm.kind).toBe("demo");
});

test("telegram", () => {
  const { telegram } = loadSettings({ TELEGRAM_BOT_TOKEN: token, TELEGRAM_ALLOW_FROM: "42, 43" });
  expect(telegram).toEqual({
    token,
    apiRoot: "https://api.telegram.org",
    allowFrom: ["42", "43"],
    groups: [],
    mode: { kind: "relay" },
  });
});

const telegramWith = (env: Record<string, string>) => ({ TELEGRAM_BOT_TOKEN: token, ...env });
const webhook = { TELEGRAM_MODE: "webhook" };
const tunnel = { ...webhook, TELEGRAM_TUNNEL_COMMAND: "tunnel {port}" };

test.each([
  [{ TELEGRAM_MODE: "polling" }, { kind: "polling" }],
  [
    { ...webhook, TELEGRAM_PUBLIC_URL: "https://bot.example:8443/" },
    { kind: "webhook", port: 8788, reach: { kind: "url", url: "https://bot.example:8443" } },
  ],
  [
    { ...tunnel, TELEGRAM_TUNNEL_URL_PATTERN: "https://\\S+", TELEGRAM_WEBHOOK_PORT: "9000" },
    { kind: "webhook", port: 9000, reach: { kind: "tunnel", command: "tunnel {port}", urlPattern: "https://\\S+" } },
  ],
])("the way of updates: %o", (env, mode) => {
  expect(loadSettings(telegramWith(env)).telegram?.mode).toEqual(mode);
});

test("the address of a quick tunnel is found in what cloudflared prints", () => {
  const mode = loadSettings(telegramWith(tunnel)).telegram?.mode;
  const pattern = mode?.kind === "webhook" && mode.reach.kind === "tunnel" ? mode.reach.urlPattern : "";
  const line = "2026-01-02T03:04:05Z INF |  https://odd-words-here-42.trycloudflare.com                    |";
  expect(new RegExp(pattern).exec(line)?.[0]).toBe("https://odd-words-here-42.trycloudflare.com");
});

test.each([
  [{ TELEGRAM_MODE: "push" }, /TELEGRAM_MODE is "push".*relay, webhook, polling/],
  [webhook, /TELEGRAM_PUBLIC_URL .*TELEGRAM_TUNNEL_COMMAND/],
  [{ ...tunnel, TELEGRAM_PUBLIC_URL: "https://bot.example" }, /both set/],
  [{ ...webhook, TELEGRAM_PUBLIC_URL: "http://bot.example" }, /https alone/],
  [{ ...webhook, TELEGRAM_PUBLIC_URL: "https://bot.example:9999" }, /443, 80, 88 and 8443/],
  [{ ...tunnel, TELEGRAM_TUNNEL_URL_PATTERN: "(" }, /no regular expression/],
  [{ ...tunnel, TELEGRAM_WEBHOOK_PORT: "x" }, /TELEGRAM_WEBHOOK_PORT is "x"/],
  [{ TELEGRAM_GROUPS: "123", TELEGRAM_ALLOW_FROM: "42" }, /TELEGRAM_GROUPS holds "123"/],
  [{ TELEGRAM_GROUPS: "-100123" }, /TELEGRAM_ALLOW_FROM is not/],
])("refused with the reason: %o", (env, why) => {
  expect(refusal(telegramWith(env))).toMatch(why);
});

test.each([
  ["openai", { OPENAI_API_KEY: "k" }, "https://api.openai.com/v1"],
  ["anthropic", { ANTHROPIC_API_KEY: "k" }, "https://api.anthropic.com"],
  [
    "openai-compatible",
    { OPENAI_BASE_URL: "http://127.0.0.1:11434/v1/", OPENAI_MODEL: "m" },
    "http://127.0.0.1:11434/v1",
  ],
])("%s is chosen by what is set", (kind, env, baseUrl) => {
  expect(loadSettings(env).llm).toMatchObject({ kind, baseUrl });
});

test("CLAW_LLM and CLAW_MODEL win", () => {
  const env = { OPENAI_API_KEY: "a", ANTHROPIC_API_KEY: "b", CLAW_LLM: "anthropic", CLAW_MODEL: "big" };
  expect(loadSettings(env).llm).toMatchObject({ kind: "anthropic", key: { value: "b" }, model: "big" });
});

test("prices are two numbers", () => {
  const env = { OPENAI_API_KEY: "k" };
  expect(loadSettings({ ...env, CLAW_PRICE: "3/15.5" }).llm).toMatchObject({ price: { input: 3, output: 15.5 } });
  expect(loadSettings(env).llm).toMatchObject({ price: null });
  expect(() => loadSettings({ ...env, CLAW_PRICE: "cheap" })).toThrow("CLAW_PRICE");
});

test("a key may be one of the secret store", () => {
  expect(loadSettings({ OPENAI_API_KEY: "secret:claw-llm-key" }).llm).toMatchObject({
    key: { stored: "claw-llm-key" },
  });
});

test("open to everyone is said twice", () => {
  expect(refusal({ TELEGRAM_BOT_TOKEN: token, TELEGRAM_ALLOW_FROM: "*" })).toMatch(/TELEGRAM_OPEN_TO_EVERYONE=yes/);
  const said = { TELEGRAM_ALLOW_FROM: "*", TELEGRAM_OPEN_TO_EVERYONE: "yes" };
  expect(loadSettings({ TELEGRAM_BOT_TOKEN: token, ...said }).telegram?.allowFrom).toEqual(["*"]);
});

test("never is a time", () => {
  expect(loadSettings({ CLAW_BOT_STOP_AFTER_PAUSED_S: "never" }).bot.stop_after_paused_s).toBeNull();
});

test.each([
  [{ TELEGRAM_BOT_TOKEN: "nonsense" }, "TELEGRAM_BOT_TOKEN"],
  [{ TELEGRAM_BOT_TOKEN: token, TELEGRAM_ALLOW_FROM: "@me" }, "TELEGRAM_ALLOW_FROM"],
  [{ TELEGRAM_BOT_TOKEN: token, TELEGRAM_API_ROOT: "telegram" }, "TELEGRAM_API_ROOT"],
  [{ OPENAI_BASE_URL: "http://127.0.0.1:11434/v1" }, "OPENAI_MODEL"],
  [{ OPENAI_BASE_URL: "http://user:pw@host/v1", OPENAI_MODEL: "m" }, "OPENAI_BASE_URL"],
  [{ CLAW_LLM: "gpt" }, "CLAW_LLM"],
  [{ CLAW_LLM: "openai" }, "OPENAI_API_KEY"],
  [{ CLAW_WORK_MEMORY_MB: "lots" }, "CLAW_WORK_MEMORY_MB"],
  [{ CLAW_WORK_MEMORY_MB: "8192" }, "CLAW_WORK_MAX_MEMORY_MB"],
  [{ CLAW_BOT_MEMORY_MB: "512" }, "CLAW_BOT_MEMORY_MB"],
  [{ CLAW_HEARTBEAT_S: "often" }, "CLAW_HEARTBEAT_S"],
  [{ CLAW_WORK_PAUSE_AFTER_IDLE_S: "-1" }, "CLAW_WORK_PAUSE_AFTER_IDLE_S"],
])("a bad value is refused by name: %o", (env, name) => {
  expect(refusal(env)).toContain(name);
});

test("an error never repeats a secret", () => {
  expect(refusal({ TELEGRAM_BOT_TOKEN: "nearly-a-secret" })).not.toContain("nearly-a-secret");
  expect(refusal({ OPENAI_BASE_URL: "http://user:pw1234@host/v1" })).not.toContain("pw1234");
});

test("a settings file is read, the environment wins", () => {
  const folder = mkdtempSync(join(tmpdir(), "settings-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "claw.env");
  writeFileSync(file, "OPENAI_API_KEY=file\nCLAW_MODEL=m1\n");
  expect(loadSettings({ CLAW_MODEL: "m2" }, file).llm).toMatchObject({ key: { value: "file" }, model: "m2" });
  expect(loadSettings({}, join(folder, "none.env")).llm.kind).toBe("demo");
});
