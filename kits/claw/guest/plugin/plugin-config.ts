import type { LlmConfig, WorkConfig } from "../claw-config.ts";

/** `plugins.entries.claw-kit.config` in OpenClaw's config; written by the bot's entry. */
export interface PluginConfig {
  /** which chat owns which work instance; outlives the bot's boots */
  state_file: string;
  /** which files people have sent in which chat; beside it */
  inbox_file: string;
  /** which sandboxes the bot's own tools have had; beside it */
  sandbox_file: string;
  unanswered: {
    /** of the messages whose turn has not ended; beside it */
    folder: string;
    /** OpenClaw's database in which it keeps what it has taken from Telegram */
    queue: string;
  };
  chat: {
    api_root: string;
    bot_token: string;
    /** where OpenClaw finds the Bot API on loopback */
    bridge_port: number;
    /** folder of the messages that are on their way to the chat */
    outbox: string;
  };
  llm: LlmConfig;
  work: WorkConfig;
}
