import type { LlmConfig, WorkConfig } from "../claw-config.ts";

/** `plugins.entries.claw-kit.config` in OpenClaw's config; written by the bot's entry. */
export interface PluginConfig {
  /** which chat owns which work instance; outlives the bot's boots */
  state_file: string;
  /** which sandboxes the bot's own tools have had; beside it */
  sandbox_file: string;
  chat: {
    api_root: string;
    bot_token: string;
    /** where OpenClaw finds the Bot API on loopback */
    bridge_port: number;
  };
  llm: LlmConfig;
  work: WorkConfig;
}
