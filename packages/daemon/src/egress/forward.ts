import type http from "node:http";
import type { Exchange } from "./exchange.ts";
import { responseHeaders } from "./proxied-headers.ts";
import { hasBody, takeRest, writeAll } from "./send-answer.ts";
import { checkAnnounced, sendBody } from "./send-body.ts";
import { TokenCount } from "./token-count.ts";
import { upstreamFailure, upstreamRequest } from "./upstream-request.ts";

const SAFE = ["GET", "HEAD", "OPTIONS"];

/**
 * Sends a request on, and its answer back, both as they come.
 * @throws Refused when nothing of an answer was sent yet, or when it could not be completed
 */
export async function forward(
  exchange: Exchange,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  checkAnnounced(exchange, request);
  if (request.headers.expect !== undefined) response.writeContinue();
  const upstream = await answeredOnce(exchange, request, response);
  try {
    await passOn(exchange, upstream, response);
    if (hasBody(request) && !request.complete) {
      upstream.destroy();
      await takeRest(request);
    }
    response.end();
  } catch (error) {
    upstream.destroy();
    throw upstreamFailure(exchange.name, error);
  }
}

/** A kept connection may have been closed just now: what changes nothing is asked again over a new one. */
async function answeredOnce(
  exchange: Exchange,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<http.IncomingMessage> {
  const upstream = upstreamRequest(exchange);
  try {
    return await answerTo(exchange, upstream, request, response);
  } catch (error) {
    const isStale = upstream.reusedSocket && error instanceof Error && "code" in error && error.code === "ECONNRESET";
    if (!isStale || response.destroyed || hasBody(request) || !SAFE.includes(exchange.method))
      throw upstreamFailure(exchange.name, error);
  }
  return answerTo(exchange, upstreamRequest(exchange, false), request, response).catch((error: unknown) => {
    throw upstreamFailure(exchange.name, error);
  });
}

function answerTo(
  exchange: Exchange,
  upstream: http.ClientRequest,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<http.IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  upstream.once("response", resolve).on("error", reject);
  // one that changes the protocol unasked is dropped without an error
  upstream.once("close", () => reject(new Error("the connection ended")));
  response.once("close", () => {
    if (!response.writableFinished) upstream.destroy();
  });
  sendBody(exchange, request, upstream).catch((error: unknown) =>
    upstream.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  return promise;
}

async function passOn(exchange: Exchange, answer: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  const status = answer.statusCode ?? 502;
  if (status >= 400) exchange.count({ errors: 1 });
  response.writeHead(status, answer.statusMessage, responseHeaders(answer));
  // an event stream may be silent for a while
  response.flushHeaders();
  const tokens = exchange.target.isLlm ? TokenCount.of(answer.headers["content-type"]) : null;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      exchange.count({ response_bytes: chunk.length });
      tokens?.push(chunk);
      if (!(await writeAll(response, chunk))) return;
    }
  } finally {
    if (tokens !== null) exchange.count({ ...tokens.tokens });
  }
  response.addTrailers(trailersOf(answer));
}

function trailersOf({ rawTrailers }: http.IncomingMessage): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < rawTrailers.length; at += 2) pairs.push([rawTrailers[at] ?? "", rawTrailers[at + 1] ?? ""]);
  return pairs;
}
