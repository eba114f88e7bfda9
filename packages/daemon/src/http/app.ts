import type http from "node:http";
import type { Socket } from "node:net";
import { finished } from "node:stream/promises";
import Fastify from "fastify";
import type { FastifyBaseLogger, FastifyError, FastifyInstance, FastifyReply, RawServerDefault } from "fastify";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import { asJson, checkInput } from "./check-input.ts";
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

/** How long a client may take to say what it wants, in ms. */
export interface RequestLimits {
  headersTimeoutMs: number;
  /** headers and body */
  requestTimeoutMs: number;
}

/** Those of the host API, whose callers are trusted: only a dead one is to be noticed. */
const HOST_LIMITS: RequestLimits = { headersTimeoutMs: 60_000, requestTimeoutMs: 0 };
const CHECK_LIMITS_MS = 1000;

/** A Fastify application with this project's way of checking input and of saying what is wrong. */
export function makeApp(warn: (message: string) => void, limits = HOST_LIMITS): App {
  const app = Fastify({
    logger: false,
    requestTimeout: limits.requestTimeoutMs,
    http: { headersTimeout: limits.headersTimeoutMs, connectionsCheckingInterval: CHECK_LIMITS_MS },
    clientErrorHandler: (error, socket) => answerBrokenRequest(error, socket),
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: true,
    schemaController: { compilersFactory: { buildValidator: () => checkInput(), buildSerializer: () => asJson } },
  }).withTypeProvider<TypeBoxTypeProvider>();
  acceptEmptyJson(app);
  app.setErrorHandler(async (error: FastifyError, request, reply) => {
    const known = toAegisError(error, warn);
    if (reply.hasHeader("connection") || !reply.raw.shouldKeepAlive) await takeRest(request.raw);
    else request.raw.resume();
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
  if (!hasBody(request)) return;
  let left = MAX_REFUSED_BYTES;
  request.on("data", (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) request.destroy();
  });
  await finished(request.resume()).catch(() => request.destroy());
}

const hasBody = ({ headers }: http.IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";

/** What cannot be read as a request gets an answer that says so, and then the connection is over. */
function answerBrokenRequest({ code }: Error & { code?: string }, socket: Socket): void {
  if (code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  const { status, error } = brokenRequest(code);
  const body = JSON.stringify({ error, code: "invalid_request" });
  const head = [`HTTP/1.1 ${status}`, "Content-Type: application/json; charset=utf-8", "Connection: close"];
  socket.end(`${head.join("\r\n")}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`, () =>
    socket.destroy(),
  );
}

function brokenRequest(code: string | undefined): { status: string; error: string } {
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return {
        status: "431 Request Header Fields Too Large",
        error: "The request's line and headers are too long: send less than 16 KiB of them.",
      };
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return { status: "408 Request Timeout", error: "The request took too long to arrive. Send it in one go." };
    default:
      return { status: "400 Bad Request", error: "This is not an HTTP/1.1 request that can be understood." };
  }
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
