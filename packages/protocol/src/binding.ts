import Type, { type Static } from "typebox";
import { HANDLE_PATTERN, SECRET_NAME_PATTERN } from "./name-patterns.ts";

const Count = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });

/**
 * What a binding gives at most, to its owner and to all that it was handed down to taken together. The first three are
 * budgets: for as long as the owner exists, or for each `window_s` seconds.
 */
export const BindingLimits = Type.Object(
  {
    requests: Type.Optional(Count),
    request_bytes: Type.Optional(Count),
    response_bytes: Type.Optional(Count),
    window_s: Type.Optional(Type.Number({ minimum: 1, maximum: 31_536_000 })),
    /** requests a second; a burst of one second's worth is let through */
    per_s: Type.Optional(Type.Number({ minimum: 0.1, maximum: 100_000 })),
    /** requests at the same time; 64 when absent */
    parallel: Type.Optional(Type.Integer({ minimum: 1, maximum: 1024 })),
    /** bytes in the body of one request */
    body_bytes: Type.Optional(Count),
  },
  { additionalProperties: false },
);
export type BindingLimits = Static<typeof BindingLimits>;

export const LlmProvider = Type.Enum(["openai", "anthropic", "openai-compatible", "ollama", "lmstudio", "vllm"]);
export type LlmProvider = "openai" | "anthropic" | "openai-compatible" | "ollama" | "lmstudio" | "vllm";

/** A model provider: the host fills in upstream, headers and allowed paths. */
export const LlmUpstream = Type.Object(
  {
    provider: LlmProvider,
    /** name of the secret that holds the key */
    secret: Type.Optional(Type.String({ pattern: SECRET_NAME_PATTERN, maxLength: 128 })),
    /** as the provider documents it; the instance sees it as `http://127.0.0.1:PORT/v1` */
    base_url: Type.Optional(Type.String({ pattern: "^https?://", maxLength: 2048 })),
    /** names of models, `*` as a wildcard; absent: every one */
    models: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { minItems: 1, maxItems: 64 })),
  },
  { additionalProperties: false },
);
export type LlmUpstream = Static<typeof LlmUpstream>;

/**
 * A loopback port inside the instance that is an HTTP service outside: `upstream`, or a model provider. `headers` may
 * name secrets as `${secret:NAME}`: the host fills them in, so the value never enters the instance.
 */
export const Binding = Type.Object(
  {
    name: Type.String({ pattern: HANDLE_PATTERN, maxLength: 64 }),
    port: Type.Integer({ minimum: 1, maximum: 65535 }),
    upstream: Type.Optional(Type.String({ pattern: "^https?://", maxLength: 2048 })),
    llm: Type.Optional(LlmUpstream),
    headers: Type.Optional(Type.Record(Type.String(), Type.String({ maxLength: 8192 }))),
    /** `/v1/models`, `GET /v1/*`, `/files/**`: `*` is one segment, `**` any number; absent: every path */
    paths: Type.Optional(
      Type.Array(Type.String({ pattern: "^([A-Z]+ )?/[!-~]*$", maxLength: 1024 }), { minItems: 1, maxItems: 64 }),
    ),
    methods: Type.Optional(
      Type.Array(Type.String({ pattern: "^[A-Z]+$", maxLength: 32 }), { minItems: 1, maxItems: 16 }),
    ),
    limits: Type.Optional(BindingLimits),
    /** 10 when absent */
    connect_timeout_s: Type.Optional(Type.Number({ minimum: 0.1, maximum: 300 })),
    /** how long the upstream may say nothing; 600 when absent */
    idle_timeout_s: Type.Optional(Type.Number({ minimum: 0.1, maximum: 86_400 })),
  },
  { additionalProperties: false },
);
export type Binding = Static<typeof Binding>;

const Total = Type.Integer({ minimum: 0 });

export const BindingUsage = Type.Object({
  /** sent to the upstream */
  requests: Total,
  /** of these, answered with 400 and above, or not at all */
  errors: Total,
  /** not sent: path, method, model, budget or a missing secret */
  refused: Total,
  /** bodies and WebSocket traffic; headers are not counted */
  request_bytes: Total,
  response_bytes: Total,
  /** as the model provider says in its answers */
  input_tokens: Total,
  output_tokens: Total,
});
export type BindingUsage = Static<typeof BindingUsage>;

/** A binding as `GET /v1/instances/{id}` shows it. */
export const BindingView = Type.Object({
  name: Type.String(),
  port: Type.Integer(),
  /** its parent's, handed down: what is used counts against the budget of the instance that owns it */
  inherited: Type.Boolean(),
  usage: BindingUsage,
  /** with that of every instance that it was handed down to, deleted ones included */
  tree_usage: BindingUsage,
  limits: BindingLimits,
});
export type BindingView = Static<typeof BindingView>;
