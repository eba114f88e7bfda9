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
  const name = "llm";
  if (llm.kind === "demo") {
    if (demoModelUrl === null) throw new AegisError("internal", "The demo model is wanted but does not run.");
    const config: LlmConfig = {
      api: "openai-completions",
      base_url: `http://127.0.0.1:${port}/v1`,
      model: DEMO_MODEL,
      context_window: 128_000,
      max_tokens: 8192,
    };
    return { config, binding: { name, port, upstream: new URL(demoModelUrl).origin }, secrets: [] };
  }
  const { origin, pathname } = new URL(llm.baseUrl);
  const config: LlmConfig = {
    api: llm.kind === "anthropic" ? "anthropic-messages" : "openai-completions",
    // the path stays inside, so that the binding is a plain origin
    base_url: `http://127.0.0.1:${port}${pathname === "/" ? "" : pathname}`,
    model: llm.model,
    context_window: llm.contextWindow,
    max_tokens: llm.maxTokens,
  };
  const binding = { name, port, upstream: origin };
  if (llm.apiKey === null) return { config, binding, secrets: [] };
  return {
    config,
    binding: { ...binding, headers: keyHeaders(llm.kind) },
    secrets: [{ name: LLM_KEY_SECRET, value: llm.apiKey }],
  };
}

function keyHeaders(kind: "openai" | "anthropic" | "openai-compatible"): Record<string, string> {
  const key = `\${secret:${LLM_KEY_SECRET}}`;
  return kind === "anthropic" ? { "x-api-key": key } : { authorization: `Bearer ${key}` };
}
