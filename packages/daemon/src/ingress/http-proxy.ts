import http from "node:http";
import type { Duplex } from "node:stream";
import { isHopByHop } from "../core/hop-by-hop.ts";
import type { OpenConnection } from "../core/open-connection.ts";
import { splice } from "./splice.ts";

/** Names and values in turn, as they came: order, case and repeated ones are kept. */
export type RawHeaders = readonly string[];

/** What changes on the way to the server inside and back. */
export interface Rewrite {
  path: string;
  request(headers: RawHeaders): RawHeaders;
  response(headers: RawHeaders): RawHeaders;
}

/** Sends a request on over a connection to a server inside. @param onError nothing of an answer has been sent yet */
export function forwardRequest(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  connection: OpenConnection,
  rewrite: Rewrite,
  onError: (error: unknown) => void,
): void {
  connection.asked();
  const { stream } = connection;
  const upstream = http.request({
    createConnection: () => stream,
    method: request.method ?? "GET",
    path: rewrite.path,
    headers: [...endToEnd(rewrite.request(request.rawHeaders)), "Connection", "close"],
    setHost: false,
  });
  // the stream comes paused, and only now is somebody there to read it
  upstream.once("socket", () => stream.resume());
  upstream.on("response", (answer) => {
    const headers = endToEnd(rewrite.response(answer.rawHeaders));
    response.writeHead(answer.statusCode ?? 502, answer.statusMessage, headers);
    answer.pipe(response);
  });
  upstream.on("error", onError);
  response.on("close", () => upstream.destroy());
  request.pipe(upstream);
}

/** Joins a connection that is to become a WebSocket with a server inside. */
export function forwardUpgrade(
  request: http.IncomingMessage,
  socket: Duplex,
  head: Buffer,
  connection: OpenConnection,
  rewrite: Rewrite,
): void {
  connection.asked();
  const { stream } = connection;
  stream.write(requestHead(request.method ?? "GET", rewrite.path, rewrite.request(request.rawHeaders)));
  if (head.length > 0) stream.write(head);
  socket.on("data", (chunk: Buffer) => connection.fromOutside(chunk));
  splice(socket, stream);
}

/** @param change what becomes of a header; null: it is left out */
export function mapHeaders(headers: RawHeaders, change: (name: string, value: string) => string | null): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const [name = "", value = ""] = headers.slice(at, at + 2);
    const changed = change(name.toLowerCase(), value);
    if (changed !== null) kept.push(name, changed);
  }
  return kept;
}

const endToEnd = (headers: RawHeaders): string[] =>
  mapHeaders(headers, (name, value) => (isHopByHop(name) ? null : value));

function requestHead(method: string, path: string, headers: RawHeaders): string {
  const lines = [`${method} ${path} HTTP/1.1`];
  for (let at = 0; at + 1 < headers.length; at += 2) lines.push(`${headers[at]}: ${headers[at + 1]}`);
  return `${lines.join("\r\n")}\r\n\r\n`;
}
