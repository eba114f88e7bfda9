import type { LlmConfig } from "./claw-config.ts";

/** OpenClaw's name of our one provider; models are written `claw/<model>`. */
export const PROVIDER = "claw";

/** OpenClaw wants a key; the host replaces the header that carries it. */
const PLACEHOLDER_KEY = "held-by-the-host";

/** For a bot that has the key itself. */
interface OwnKey {
  baseUrl: string;
  /** text, or a reference; null: OpenClaw finds it by itself */
  apiKey: string | object | null;
}

/** The `models` and `agents.defaults` parts of OpenClaw's config that both the bot and the work agents use. */
export function llmSections(llm: LlmConfig, own: OwnKey = { baseUrl: llm.base_url, apiKey: PLACEHOLDER_KEY }) {
  const model = `${PROVIDER}/${llm.model}`;
  return {
    models: {
      mode: "replace",
      catalogRefresh: { enabled: false },
      providers: {
        [PROVIDER]: {
          baseUrl: own.baseUrl,
          ...(own.apiKey === null ? {} : { apiKey: own.apiKey }),
          api: llm.api,
          models: [
            {
              id: llm.model,
              name: llm.model,
              input: ["text"],
              reasoning: false,
              contextWindow: llm.context_window,
              maxTokens: llm.max_tokens,
            },
          ],
        },
      },
    },
    /** no second, hidden model: titles and narration are not worth a call */
    defaults: { model: { primary: model }, utilityModel: "", skipBootstrap: true },
  };
}
