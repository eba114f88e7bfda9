import { once } from "node:events";
import type http from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { ErrorDialect } from "../core/llm-presets.ts";
import type { Refused } from "./refused.ts";

/** What is read of a body that is refused, so that the refusal arrives: how much, and for how long (ms). */
export const MAX_REFUSED_BYTES = 16 * 1024 * 1024;
const MAX_REFUSED_MS = 5000;

/** Says no in the words of the service. An answer that has begun is cut off. */
export async function sendRefusal(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  refused: Refused,
  where: { name: string; dialect: ErrorDialect },
): Promise<void> {
  if (response.headersSent || response.destroyed) return void response.destroy();
  const { headers, body } = refused.answer(where.name, where.dialect);
  const unread = hasBody(request) && !request.complete;
  response.writeHead(refused.status, unread ? { ...headers, connection: "close" } : headers);
  if (!unread) return void response.end(body);
  response.write(body);
  await takeRest(request);
  response.end();
}

export const hasBody = ({ headers }: http.IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";

/** A client that is still sending when the connection closes never reads the answer. */
export async function takeRest(request: http.IncomingMessage): Promise<void> {
  if (request.complete || request.destroyed) return;
  const timer = new AbortController();
  const { promise: enough, resolve } = Promise.withResolvers<void>();
  let left = MAX_REFUSED_BYTES;
  const onData = (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) resolve();
  };
  request.on("data", onData).resume();
  const waits = [enough, once(request, "close"), delay(MAX_REFUSED_MS, undefined, { signal: timer.signal })];
  await Promise.race(waits).catch(() => undefined);
  timer.abort();
  request.off("data", onData);
}

/** Writes, and waits until there is room again. @returns false when nobody reads any more */
export async function writeAll(to: http.ServerResponse | http.ClientRequest, chunk: Uint8Array): Promise<boolean> {
  if (to.destroyed) return false;
  if (to.write(chunk)) return true;
  const settled = new AbortController();
  const wait = (event: string) => once(to, event, { signal: settled.signal });
  await Promise.race([wait("drain"), wait("close")]).catch(() => undefined);
  settled.abort();
  return !to.destroyed;
}
