import type { LlmProvider, LlmUpstream } from "@aegis/protocol/binding";

/** In whose words a refusal is told, so that the client library inside understands it. */
export type ErrorDialect = "plain" | "openai" | "anthropic";

export interface LlmPreset {
  dialect: ErrorDialect;
  /** where the provider is when no `base_url` says so */
  baseUrl: string | null;
  /** the header that carries the key */
  key: (secret: string) => Record<string, string>;
  /** sent when the instance sends none */
  defaults: Record<string, string>;
  /** a provider on the internet answers nobody without a key */
  needsKey: boolean;
  /** what of the provider's API is let through */
  paths: readonly string[];
  /** its API is below /v1 wherever it runs, so that a `base_url` may leave that out */
  hasV1: boolean;
  /** the part of the path that stands for `base_url` inside; null: `base_url` without its `/v1` is the root */
  prefix: string | null;
}

/** Everything that makes an answer from a question; nothing that shows or changes what else the account has. */
const OPENAI_PATHS = [
  "POST /v1/chat/completions",
  "POST /v1/completions",
  "POST /v1/responses",
  "GET /v1/responses/*",
  "POST /v1/responses/*/cancel",
  "POST /v1/embeddings",
  "POST /v1/moderations",
  "POST /v1/images/generations",
  "POST /v1/images/edits",
  "POST /v1/audio/speech",
  "POST /v1/audio/transcriptions",
  "POST /v1/audio/translations",
  "GET /v1/realtime",
  "POST /v1/rerank",
  "GET /v1/models",
  "GET /v1/models/**",
];
const ANTHROPIC_PATHS = ["POST /v1/messages", "POST /v1/messages/count_tokens", "GET /v1/models", "GET /v1/models/**"];
/** Ollama's own API without what changes its store of models. */
const OLLAMA_PATHS = [
  ...["/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show"].map((path) => `POST ${path}`),
  ...["/", "/api/tags", "/api/ps", "/api/version"].map((path) => `GET ${path}`),
  "HEAD /",
];

const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` });

const compatible: LlmPreset = {
  dialect: "openai",
  baseUrl: null,
  key: bearer,
  defaults: {},
  needsKey: false,
  paths: OPENAI_PATHS,
  hasV1: false,
  prefix: "/v1",
};

const presets = {
  openai: { ...compatible, baseUrl: "https://api.openai.com/v1", needsKey: true, hasV1: true },
  anthropic: {
    dialect: "anthropic",
    baseUrl: "https://api.anthropic.com/v1",
    key: (secret) => ({ "x-api-key": secret }),
    defaults: { "anthropic-version": "2023-06-01" },
    needsKey: true,
    paths: ANTHROPIC_PATHS,
    hasV1: true,
    prefix: "/v1",
  },
  "openai-compatible": compatible,
  ollama: {
    ...compatible,
    baseUrl: "http://127.0.0.1:11434",
    paths: [...OPENAI_PATHS, ...ANTHROPIC_PATHS, ...OLLAMA_PATHS],
    prefix: null,
  },
  lmstudio: { ...compatible, baseUrl: "http://127.0.0.1:1234/v1", hasV1: true },
  vllm: {
    ...compatible,
    baseUrl: "http://127.0.0.1:8000/v1",
    paths: [...OPENAI_PATHS, ...ANTHROPIC_PATHS, "POST /v1/score"],
    hasV1: true,
  },
} as const satisfies Record<LlmProvider, LlmPreset>;

export const llmPreset = ({ provider }: LlmUpstream): LlmPreset => presets[provider];

/** Where requests go; null when nothing says so. */
export function llmBaseUrl(llm: LlmUpstream): URL | null {
  const { baseUrl, prefix, hasV1, dialect } = llmPreset(llm);
  const said = llm.base_url ?? baseUrl;
  if (said === null) return null;
  const url = new URL(said);
  const path = url.pathname.replace(/\/+$/, "");
  // Anthropic's is documented without it, whatever comes before
  const lacksV1 = dialect === "anthropic" ? !path.endsWith("/v1") : path === "";
  if (prefix === null) url.pathname = path.replace(/\/v1$/, "");
  else if (hasV1 && lacksV1) url.pathname = `${path}/v1`;
  return url;
}
