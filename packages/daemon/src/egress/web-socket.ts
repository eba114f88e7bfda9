import type http from "node:http";
import { pipeline, Transform } from "node:stream";
import type { Duplex } from "node:stream";
import type { BindingUsage } from "@aegis/protocol/binding";
import type { Exchange } from "./exchange.ts";
import { responseHeaders } from "./proxied-headers.ts";
import type { Refused } from "./refused.ts";
import type { ErrorDialect } from "../core/llm-presets.ts";
import { upstreamFailure, upstreamRequest } from "./upstream-request.ts";

/** Only WebSocket: other protocols that a connection can be turned into know no limits that we could hold. */
export const isWebSocket = ({ headers, method }: http.IncomingMessage): boolean =>
  method === "GET" && headers.upgrade?.toLowerCase() === "websocket";

/**
 * Asks the upstream for a WebSocket, and joins both ends when it agrees; else its answer is passed on.
 * Settles when the connection is over.
 * @throws Refused when nothing was sent back yet
 */
export async function joinWebSocket(exchange: Exchange, socket: Duplex, head: Buffer): Promise<void> {
  const upstream = upstreamRequest({
    ...exchange,
    headers: { ...exchange.headers, connection: "Upgrade", upgrade: "websocket" },
  });
  const { promise: over, resolve, reject } = Promise.withResolvers<void>();
  upstream.on("error", (error) => reject(upstreamFailure(exchange.name, error)));
  socket.once("close", () => {
    upstream.destroy();
    resolve();
  });
  let answered = false;
  upstream.once("close", () => {
    if (!answered) reject(upstreamFailure(exchange.name, new Error("the connection ended")));
  });
  upstream.once("response", (answer) => {
    answered = true;
    socket.write(headText(answer, ["Connection: close"]));
    if ((answer.statusCode ?? 0) >= 400) exchange.count({ errors: 1 });
    pipeline(answer, counted(exchange, "response_bytes"), socket, () => resolve());
  });
  upstream.once("upgrade", (answer, far, farHead) => {
    answered = true;
    socket.once("close", () => far.destroy());
    // it is up to the two of them how long they are silent
    far.setTimeout(0);
    socket.write(headText(answer, ["Connection: Upgrade", "Upgrade: websocket"]));
    if (head.length > 0) socket.unshift(head);
    if (farHead.length > 0) far.unshift(farHead);
    const cut = () => {
      far.destroy();
      socket.destroy();
    };
    far.on("error", cut);
    socket.pipe(counted(exchange, "request_bytes").on("error", cut)).pipe(far);
    far.pipe(counted(exchange, "response_bytes").on("error", cut)).pipe(socket);
    // what the far end said last is still to be read
    far.once("close", () => socket.end(() => socket.destroy()));
  });
  upstream.end();
  await over;
}

/** A refusal where no HTTP server is at the other end of the socket any more. */
export function refuseSocket(socket: Duplex, refused: Refused, where: { name: string; dialect: ErrorDialect }): void {
  if (socket.destroyed) return;
  const { headers, body } = refused.answer(where.name, where.dialect);
  const lines = Object.entries({ ...headers, connection: "close" }).map(([name, value]) => `${name}: ${String(value)}`);
  socket.end(`HTTP/1.1 ${refused.status} Refused\r\n${lines.join("\r\n")}\r\n\r\n${body}`);
  socket.resume();
}

function headText(answer: http.IncomingMessage, more: readonly string[]): string {
  const headers = responseHeaders(answer);
  const lines = [`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}`];
  for (let at = 0; at + 1 < headers.length; at += 2) lines.push(`${headers[at]}: ${headers[at + 1]}`);
  return `${[...lines, ...more].join("\r\n")}\r\n\r\n`;
}

function counted(exchange: Exchange, field: keyof BindingUsage & `${string}_bytes`): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      try {
        exchange.count({ [field]: chunk.length });
        done(null, chunk);
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)));
      }
    },
  });
}
