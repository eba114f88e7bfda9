import type http from "node:http";
import { finished } from "node:stream/promises";
import Fastify from "fastify";
import type { FastifyBaseLogger, FastifyError, FastifyInstance, FastifyReply, RawServerDefault } from "fastify";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import { AegisError, RETRY_AFTER_S } from "@aegis/protocol/errors";
import type { ErrorCode } from "@aegis/protocol/errors";

const MAX_BODY_BYTES = 1024 * 1024;
/** What is read of a body that is refused for its size, so that the refusal arrives. */
const MAX_REFUSED_BYTES = 64 * 1024 * 1024;

export type App = FastifyInstance<
  RawServerDefault,
  http.IncomingMessage,
  http.ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** A Fastify application with this project's way of checking input and of saying what is wrong. */
export function makeApp(warn: (message: string) => void): App {
  const app = Fastify({
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: true,
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, allErrors: true } },
  }).withTypeProvider<TypeBoxTypeProvider>();
  acceptEmptyJson(app);
  app.setErrorHandler(async (error: FastifyError, request, reply) => {
    const known = toAegisError(error, warn);
    if (known.code === "too_large") await takeRest(request.raw);
    return sendError(reply, known);
  });
  app.setNotFoundHandler((request, reply) =>
    sendError(reply, new AegisError("not_found", `There is no ${request.method} ${request.url.split("?")[0]}.`)),
  );
  return app;
}

/** Calls without a body may still carry the JSON content type. */
function acceptEmptyJson(app: App): void {
  app.removeContentTypeParser("application/json");
  app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) => {
    try {
      done(null, body === "" ? undefined : JSON.parse(String(body)));
    } catch (error) {
      // the message may quote the body, and the body may hold a secret
      const why = error instanceof Error ? error.message.replace(/, (\.{3})?".*$/s, "") : "it cannot be read";
      done(new AegisError("invalid_json", `The body is not valid JSON: ${why}.`));
    }
  });
}

/** A client that is still sending when the connection closes never reads the answer. */
async function takeRest(request: http.IncomingMessage): Promise<void> {
  let left = MAX_REFUSED_BYTES;
  request.on("data", (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) request.destroy();
  });
  await finished(request).catch(() => request.destroy());
}

function sendError(reply: FastifyReply, error: AegisError): FastifyReply {
  if (error.code === "unavailable") void reply.header("retry-after", String(RETRY_AFTER_S));
  return reply.status(error.status).send(error.toBody());
}

function toAegisError(error: FastifyError | AegisError, warn: (message: string) => void): AegisError {
  if (error instanceof AegisError) return error;
  if (error.validation !== undefined) return toValidationError(error);
  const code = codeOfStatus(error.statusCode);
  if (code !== null) return new AegisError(code, error.message);
  warn(error.stack ?? error.message);
  return new AegisError("internal", "Something went wrong inside aegisd. Its log has the details.");
}

function codeOfStatus(status: number | undefined): ErrorCode | null {
  if (status === 413) return "too_large";
  return status !== undefined && status >= 400 && status < 500 ? "invalid_request" : null;
}

function toValidationError(error: FastifyError): AegisError {
  const problems = error.validation ?? [];
  const unknown = problems
    .filter(({ keyword }) => keyword === "additionalProperties")
    .map(({ instancePath, params }) =>
      `${instancePath}/${String(params["additionalProperty"])}`.slice(1).replaceAll("/", "."),
    );
  if (unknown.length > 0) {
    return new AegisError(
      "unknown_field",
      `Unknown field ${[...new Set(unknown)].join(", ")}. Remove it, or check its spelling.`,
    );
  }
  const said = problems.map(
    ({ instancePath, message }) => `${instancePath.slice(1).replaceAll("/", ".") || "the body"} ${message}`,
  );
  return new AegisError("invalid_request", `Invalid request: ${[...new Set(said)].join("; ")}.`);
}
