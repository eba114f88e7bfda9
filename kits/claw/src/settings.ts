import { readFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { AegisError } from "@aegis/protocol/errors";
import { type LlmSettings, loadLlmSettings } from "./llm-settings.ts";
import { loadTelegramSettings, type TelegramSettings } from "./telegram-settings.ts";
import { botDefaults, workDefaults } from "./work-defaults.ts";
import { type Env, memory, seconds, text, vcpus } from "./setting-values.ts";

/** What a person may set for the kit, checked. Holds secrets: it stays on the host and is never printed whole. */
export interface Settings {
  /** null: the chat is the local page */
  telegram: TelegramSettings | null;
  llm: LlmSettings;
  work: PowerSettings & { max_memory_mb: number };
  bot: PowerSettings;
  /** how often OpenClaw looks by itself whether something is to be done; null: never */
  heartbeat_s: number | null;
  /** shell and files for the bot's own agent, in a sandbox of each chat */
  own_tools: boolean;
  auth: Auth;
}

/** Where the model's key is: on the host behind a binding, or in the bot, as a variable or in a file for OpenClaw. */
type Auth = "binding" | "env" | "file";
const AUTHS: readonly [Auth, ...Auth[]] = ["binding", "env", "file"];
/** Where the tools of the bot's own agent run, if it has any. */
const OWN_TOOLS = ["sandbox", "off"] as const;

export interface PowerSettings {
  memory_mb: number;
  vcpus: number;
  /** null: never */
  pause_after_idle_s: number | null;
  stop_after_paused_s: number | null;
}

/**
 * @param file a file of `NAME=value` lines; what is in `env` wins over it
 * @throws AegisError `invalid_request` that names the variable
 */
export function loadSettings(env: Env, file?: string): Settings {
  const all: Env = file === undefined ? env : { ...readEnvFile(file), ...env };
  return {
    telegram: loadTelegramSettings(all),
    llm: loadLlmSettings(all),
    work: work(all),
    bot: bot(all),
    heartbeat_s: seconds(all, "CLAW_HEARTBEAT_S", null),
    own_tools: oneOf(all, "CLAW_OWN_TOOLS", OWN_TOOLS) === "sandbox",
    auth: oneOf(all, "CLAW_AUTH", AUTHS),
  };
}

/** The first one is the default. */
function oneOf<Choice extends string>(env: Env, name: string, choices: readonly [Choice, ...Choice[]]): Choice {
  const wanted = text(env, name) ?? choices[0];
  const found = choices.find((known) => known === wanted);
  if (found !== undefined) return found;
  throw new AegisError("invalid_request", `${name} is "${wanted}": it must be one of ${choices.join(", ")}.`);
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
