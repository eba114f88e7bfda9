import { AegisError } from "@aegis/protocol/errors";
import { type Env, memory, text, url } from "./setting-values.ts";

/** Where the models are. `demo` is the kit's own, offline and labelled as such. */
export type LlmSettings =
  | { kind: "demo" }
  | {
      kind: "openai" | "anthropic" | "openai-compatible";
      /** as the provider documents it, without a trailing slash: `https://api.openai.com/v1` */
      baseUrl: string;
      model: string;
      /** null: the provider wants none */
      key: LlmKey | null;
      contextWindow: number;
      maxTokens: number;
      /** dollars for a million tokens in and out; null: not known */
      price: { input: number; output: number } | null;
    };

/** The key itself, or the name that the secret store knows it by: from there it never comes out again. */
export type LlmKey = { value: string } | { stored: string };

type Kind = LlmSettings["kind"];

const OPENAI_API = "https://api.openai.com/v1";
const ANTHROPIC_API = "https://api.anthropic.com";
const OPENAI_MODEL = "gpt-5-mini";
const ANTHROPIC_MODEL = "claude-sonnet-4-6";
const kinds: readonly Kind[] = ["openai", "anthropic", "openai-compatible", "demo"];

/** @throws AegisError `invalid_request` that names the variable */
export function loadLlmSettings(env: Env): LlmSettings {
  const kind = chosenKind(env);
  switch (kind) {
    case "demo":
      return { kind };
    case "openai":
      return real(env, kind, OPENAI_API, text(env, "OPENAI_MODEL") ?? OPENAI_MODEL, needed(env, "OPENAI_API_KEY"));
    case "anthropic":
      return real(
        env,
        kind,
        url(env, "ANTHROPIC_BASE_URL", ANTHROPIC_API).replace(/\/v1$/, ""),
        text(env, "ANTHROPIC_MODEL") ?? ANTHROPIC_MODEL,
        needed(env, "ANTHROPIC_API_KEY"),
      );
    case "openai-compatible":
      return real(env, kind, compatibleUrl(env), compatibleModel(env), text(env, "OPENAI_API_KEY"));
  }
}

function real(env: Env, kind: Exclude<Kind, "demo">, baseUrl: string, model: string, key: string | null): LlmSettings {
  return {
    kind,
    baseUrl,
    model: text(env, "CLAW_MODEL") ?? model,
    key: key === null ? null : keyOf(key),
    contextWindow: memory(env, "CLAW_CONTEXT_WINDOW", 128_000, 4096),
    maxTokens: memory(env, "CLAW_MAX_TOKENS", 8192, 256),
    price: priceOf(env),
  };
}

function priceOf(env: Env): { input: number; output: number } | null {
  const value = text(env, "CLAW_PRICE");
  if (value === null) return null;
  const [, input, output] = /^(\d+(?:\.\d+)?)\/(\d+(?:\.\d+)?)$/.exec(value) ?? [];
  if (input !== undefined && output !== undefined) return { input: Number(input), output: Number(output) };
  throw new AegisError(
    "invalid_request",
    `CLAW_PRICE is "${value}": it must be two numbers like 3/15, dollars for a million tokens in and out.`,
  );
}

/** `secret:NAME` is one of the secret store. */
function keyOf(value: string): LlmKey {
  const stored = /^secret:(.+)$/.exec(value)?.[1];
  return stored === undefined ? { value } : { stored };
}

function chosenKind(env: Env): Kind {
  const wanted = text(env, "CLAW_LLM");
  if (wanted !== null) {
    const kind = kinds.find((known) => known === wanted);
    if (kind !== undefined) return kind;
    throw new AegisError("invalid_request", `CLAW_LLM is "${wanted}": it must be one of ${kinds.join(", ")}.`);
  }
  if (text(env, "OPENAI_BASE_URL") !== null) return "openai-compatible";
  if (text(env, "OPENAI_API_KEY") !== null) return "openai";
  if (text(env, "ANTHROPIC_API_KEY") !== null) return "anthropic";
  return "demo";
}

function compatibleUrl(env: Env): string {
  if (text(env, "OPENAI_BASE_URL") === null)
    throw new AegisError(
      "invalid_request",
      "CLAW_LLM is openai-compatible but OPENAI_BASE_URL is not set: give the URL of the provider, e.g. http://127.0.0.1:11434/v1 for Ollama.",
    );
  return url(env, "OPENAI_BASE_URL", OPENAI_API);
}

function compatibleModel(env: Env): string {
  const model = text(env, "CLAW_MODEL") ?? text(env, "OPENAI_MODEL");
  if (model !== null) return model;
  if (compatibleUrl(env) === OPENAI_API) return OPENAI_MODEL;
  throw new AegisError(
    "invalid_request",
    "OPENAI_BASE_URL is set but no model is: set OPENAI_MODEL to a model that it serves (for Ollama, a name that `ollama list` shows).",
  );
}

function needed(env: Env, name: string): string {
  const value = text(env, name);
  if (value !== null) return value;
  throw new AegisError("invalid_request", `CLAW_LLM asks for a provider whose key ${name} is not set: set it.`);
}
