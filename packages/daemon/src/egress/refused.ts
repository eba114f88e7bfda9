import type http from "node:http";
import type { ErrorBody, ErrorCode } from "@aegis/protocol/errors";
import type { ErrorDialect } from "../core/llm-presets.ts";

/** Why the host does not send a request on, or has no answer to it. */
export type RefusalKind =
  | "malformed"
  | "path"
  | "method"
  | "model"
  | "too_large"
  | "busy"
  | "budget"
  | "gone"
  | "secret"
  | "unreachable"
  | "timeout";

interface Words {
  status: number;
  code: ErrorCode;
  openai: { type: string; code: string };
  anthropic: string;
}

const invalid = { type: "invalid_request_error", code: "invalid_request" };
const words = {
  malformed: { status: 400, code: "invalid_request", openai: invalid, anthropic: "invalid_request_error" },
  path: {
    status: 403,
    code: "forbidden",
    openai: { type: "invalid_request_error", code: "path_not_allowed" },
    anthropic: "permission_error",
  },
  method: {
    status: 405,
    code: "forbidden",
    openai: { type: "invalid_request_error", code: "method_not_allowed" },
    anthropic: "invalid_request_error",
  },
  model: {
    status: 404,
    code: "not_found",
    openai: { type: "invalid_request_error", code: "model_not_found" },
    anthropic: "not_found_error",
  },
  too_large: { status: 413, code: "too_large", openai: invalid, anthropic: "request_too_large" },
  busy: {
    status: 429,
    code: "quota_exceeded",
    openai: { type: "requests", code: "rate_limit_exceeded" },
    anthropic: "rate_limit_error",
  },
  budget: {
    status: 429,
    code: "quota_exceeded",
    openai: { type: "insufficient_quota", code: "insufficient_quota" },
    anthropic: "rate_limit_error",
  },
  gone: {
    status: 403,
    code: "forbidden",
    openai: { type: "invalid_request_error", code: "binding_revoked" },
    anthropic: "permission_error",
  },
  secret: {
    status: 503,
    code: "unavailable",
    openai: { type: "server_error", code: "secret_missing" },
    anthropic: "api_error",
  },
  unreachable: {
    status: 502,
    code: "unavailable",
    openai: { type: "server_error", code: "bad_gateway" },
    anthropic: "api_error",
  },
  timeout: {
    status: 504,
    code: "unavailable",
    openai: { type: "server_error", code: "gateway_timeout" },
    anthropic: "timeout_error",
  },
} as const satisfies Record<RefusalKind, Words>;

/** True for what the instance brought about itself, and that goes into the audit log. */
export const isDenial = (kind: RefusalKind): boolean => !["secret", "unreachable", "timeout"].includes(kind);

export class Refused extends Error {
  override readonly name = "Refused";
  readonly kind: RefusalKind;
  /** what HTTP has to say besides */
  readonly headers: Record<string, string>;

  /** @param message what, why and how to go on; never contains a secret */
  constructor(kind: RefusalKind, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.kind = kind;
    this.headers = headers;
  }

  get status(): number {
    return words[this.kind].status;
  }

  /** The answer, in the words of the service that the program inside believes to speak to. */
  answer(binding: string, dialect: ErrorDialect): { headers: http.OutgoingHttpHeaders; body: string } {
    const body = JSON.stringify(bodyOf(this, dialect));
    return {
      headers: {
        ...this.headers,
        "content-type": "application/json",
        "content-length": String(Buffer.byteLength(body)),
        // tells an answer of the host's from one of the service's
        "x-aegis-binding": binding,
      },
      body,
    };
  }
}

function bodyOf({ kind, message }: Refused, dialect: ErrorDialect): object {
  switch (dialect) {
    case "plain":
      return { error: message, code: words[kind].code } satisfies ErrorBody;
    case "openai":
      return { error: { message, param: null, ...words[kind].openai } };
    case "anthropic":
      return { type: "error", error: { type: words[kind].anthropic, message } };
  }
}
