/**
 * What the host tells the bot instance in `CLAW_CONFIG`. No field is a secret: keys stay on the host, behind the
 * bindings, or come in a variable of their own. `webhook_secret` only tells the relay's posts from those of other processes inside the instance.
 */
export interface ClawConfig {
  chat: ChatConfig;
  llm: LlmConfig;
  work: WorkConfig;
  /** memory of the bot instance; the heap of the gateway is sized by it */
  memory_mb: number;
  /** null: no heartbeat */
  heartbeat_s: number | null;
  /** the agent has a shell and files of its own, in a sandbox of each chat; otherwise it has none */
  own_tools: boolean;
  /** the bot is given the key of its model, as its settings want; null: the host adds it */
  key: KeyInside | null;
}

/** The key itself comes in the environment. */
export interface KeyInside {
  /** where OpenClaw finds it */
  how: "env" | "file";
  /** version of OpenClaw, which decides how it is told */
  openclaw: string;
  /** as seen from inside: the loopback port of a binding that adds nothing */
  base_url: string;
}

export interface ChatConfig {
  /** Bot API as seen from inside: the loopback port of a binding */
  api_root: string;
  /** stands where the Bot API wants a token; the real one is known to the host alone */
  bot_token: string;
  /** null: the bot polls */
  webhook_url: string | null;
  webhook_secret: string;
  /** who may talk to the bot; null: strangers get a pairing code; `["*"]`: the host has checked already */
  allow_from: string[] | null;
  /** groups where it answers those of `allow_from` who mention it */
  groups: string[];
}

export type LlmApi = "openai-completions" | "openai-responses" | "anthropic-messages";

export interface LlmConfig {
  api: LlmApi;
  /** as seen from inside: the loopback port of a binding */
  base_url: string;
  model: string;
  context_window: number;
  max_tokens: number;
  /** dollars for a million tokens; absent: not known */
  price?: { input: number; output: number };
}

/** Defaults of the work instances that the bot makes. */
export interface WorkConfig {
  image: string;
  memory_mb: number;
  /** no work instance gets more than this; the host enforces it too */
  max_memory_mb: number;
  vcpus: number;
  pause_after_idle_s: number | null;
  stop_after_paused_s: number | null;
}

/** Name of the variable that carries {@link ClawConfig} as JSON into the bot instance. */
export const CLAW_CONFIG_ENV = "CLAW_CONFIG";

/** @throws Error that names the variable when it is absent or not JSON */
export function readClawConfig(env: Record<string, string | undefined>): ClawConfig {
  const text = env[CLAW_CONFIG_ENV];
  if (text === undefined)
    throw new Error(`${CLAW_CONFIG_ENV} is not set: the bot is started by the claw kit, not by hand`);
  return JSON.parse(text) as ClawConfig;
}
