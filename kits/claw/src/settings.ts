import { readFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { AegisError } from "@aegis/protocol/errors";
import { type LlmSettings, loadLlmSettings } from "./llm-settings.ts";
import { botDefaults, workDefaults } from "./work-defaults.ts";
import { type Env, memory, seconds, text, url, vcpus } from "./setting-values.ts";

/** What a person may set for the kit, checked. Holds secrets: it stays on the host and is never printed whole. */
export interface Settings {
  /** null: the chat is the local page */
  telegram: TelegramSettings | null;
  llm: LlmSettings;
  work: PowerSettings & { max_memory_mb: number };
  bot: PowerSettings;
}

export interface TelegramSettings {
  /** secret */
  token: string;
  apiRoot: string;
  /** user ids; empty: strangers get a pairing code */
  allowFrom: string[];
}

export interface PowerSettings {
  memory_mb: number;
  vcpus: number;
  /** null: never */
  pause_after_idle_s: number | null;
  stop_after_paused_s: number | null;
}

const TELEGRAM_API = "https://api.telegram.org";

/**
 * @param file a file of `NAME=value` lines; what is in `env` wins over it
 * @throws AegisError `invalid_request` that names the variable
 */
export function loadSettings(env: Env, file?: string): Settings {
  const all: Env = file === undefined ? env : { ...readEnvFile(file), ...env };
  return { telegram: telegram(all), llm: loadLlmSettings(all), work: work(all), bot: bot(all) };
}

function telegram(env: Env): TelegramSettings | null {
  const token = text(env, "TELEGRAM_BOT_TOKEN");
  if (token === null) return null;
  if (!/^\d+:[\w-]{20,}$/.test(token))
    throw new AegisError(
      "invalid_request",
      "TELEGRAM_BOT_TOKEN is not a bot token: @BotFather gives one that looks like 123456789:AAF... Copy it whole.",
    );
  const allowFrom = (text(env, "TELEGRAM_ALLOW_FROM") ?? "").split(/[\s,]+/).filter((id) => id !== "");
  for (const id of allowFrom)
    if (!/^(\d+|\*)$/.test(id))
      throw new AegisError(
        "invalid_request",
        `TELEGRAM_ALLOW_FROM holds "${id}", which is no Telegram user id: give numbers, separated by commas (@userinfobot tells you yours).`,
      );
  return { token, apiRoot: url(env, "TELEGRAM_API_ROOT", TELEGRAM_API), allowFrom };
}

function work(env: Env): Settings["work"] {
  const max_memory_mb = memory(env, "CLAW_WORK_MAX_MEMORY_MB", workDefaults.max_memory_mb, 64);
  const memory_mb = memory(env, "CLAW_WORK_MEMORY_MB", Math.min(workDefaults.memory_mb, max_memory_mb), 64);
  if (memory_mb > max_memory_mb)
    throw new AegisError(
      "invalid_request",
      `CLAW_WORK_MEMORY_MB is ${memory_mb}, more than CLAW_WORK_MAX_MEMORY_MB (${max_memory_mb}): raise the one or lower the other.`,
    );
  return { ...power(env, "CLAW_WORK", workDefaults), memory_mb, max_memory_mb };
}

const bot = (env: Env): PowerSettings => ({
  ...power(env, "CLAW_BOT", botDefaults),
  memory_mb: memory(env, "CLAW_BOT_MEMORY_MB", botDefaults.memory_mb, botDefaults.min_memory_mb),
});

const power = (env: Env, prefix: string, defaults: typeof workDefaults | typeof botDefaults) => ({
  vcpus: vcpus(env, `${prefix}_VCPUS`, defaults.vcpus),
  pause_after_idle_s: seconds(env, `${prefix}_PAUSE_AFTER_IDLE_S`, defaults.pause_after_idle_s),
  stop_after_paused_s: seconds(env, `${prefix}_STOP_AFTER_PAUSED_S`, defaults.stop_after_paused_s),
});

function readEnvFile(file: string): Env {
  try {
    return parseEnv(readFileSync(file, "utf8"));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return {};
    throw new AegisError("invalid_request", `The settings file ${file} cannot be read. Check its permissions.`, {
      cause: error,
    });
  }
}
