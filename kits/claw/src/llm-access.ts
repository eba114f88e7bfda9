import { AegisError } from "@aegis/protocol/errors";
import type { Binding } from "@aegis/protocol/binding";
import type { LlmConfig } from "../guest/claw-config.ts";
import type { LlmSettings } from "./llm-settings.ts";

export const LLM_KEY_SECRET = "claw-llm-key";
const DEMO_MODEL = "demo";

export interface StoredSecret {
  name: string;
  value: string;
}

/** How an instance reaches the model: a loopback port inside, the provider outside, the key on the host. */
export interface LlmAccess {
  config: LlmConfig;
  binding: Binding;
  secrets: StoredSecret[];
}

/** @throws AegisError when the demo model is wanted and its URL is not known */
export function llmAccess(llm: LlmSettings, demoModelUrl: string | null, port: number): LlmAccess {
  if (llm.kind === "demo") {
    if (demoModelUrl === null) throw new AegisError("internal", "The demo model is wanted but does not run.");
    const config: LlmConfig = {
      api: "openai-completions",
      base_url: `http://127.0.0.1:${port}/v1`,
      model: DEMO_MODEL,
      context_window: 128_000,
      max_tokens: 8192,
    };
    const upstream = { provider: "openai-compatible", base_url: `${new URL(demoModelUrl).origin}/v1` } as const;
    return { config, binding: { name: "llm", port, llm: upstream }, secrets: [] };
  }
  const isAnthropic = llm.kind === "anthropic";
  const config: LlmConfig = {
    api: isAnthropic ? "anthropic-messages" : "openai-completions",
    // whatever it is outside: the host knows. Anthropic's clients add the /v1 themselves
    base_url: `http://127.0.0.1:${port}${isAnthropic ? "" : "/v1"}`,
    model: llm.model,
    context_window: llm.contextWindow,
    max_tokens: llm.maxTokens,
    ...(llm.price === null ? {} : { price: llm.price }),
  };
  const upstream = { provider: llm.kind, base_url: llm.baseUrl };
  const { key } = llm;
  if (key === null) return { config, binding: { name: "llm", port, llm: upstream }, secrets: [] };
  const secret = "stored" in key ? key.stored : LLM_KEY_SECRET;
  const secrets = "stored" in key ? [] : [{ name: secret, value: key.value }];
  return { config, binding: { name: "llm", port, llm: { ...upstream, secret } }, secrets };
}
