import type { FuzzRandom } from "./fuzz-random.ts";

const HOST = "Host: x";
const post = (headers: string[], body: string): string =>
  ["POST /v1/instances HTTP/1.1", HOST, "Content-Type: application/json", ...headers, "", body].join("\r\n");
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

/** Requests that two readers could cut at different places: each has to be refused as a whole. */
export const AMBIGUOUS: readonly [string, string][] = [
  ["a length and chunks", post(["Content-Length: 5", "Transfer-Encoding: chunked"], `0\r\n\r\n${SMUGGLED}`)],
  ["chunks and a length", post(["Transfer-Encoding: chunked", "Content-Length: 5"], `0\r\n\r\n${SMUGGLED}`)],
  ["two lengths", post(["Content-Length: 0", "Content-Length: 37"], SMUGGLED)],
  ["two lengths in one", post(["Content-Length: 0, 37"], SMUGGLED)],
  ["a length with a sign", post(["Content-Length: +0"], SMUGGLED)],
  ["a negative length", post(["Content-Length: -1"], SMUGGLED)],
  ["a length in hexadecimal", post(["Content-Length: 0x5"], SMUGGLED)],
  ["a length past every number", post([`Content-Length: ${"9".repeat(30)}`], SMUGGLED)],
  ["a coding that nobody knows", post(["Transfer-Encoding: xchunked"], `0\r\n\r\n${SMUGGLED}`)],
  ["chunks before another coding", post(["Transfer-Encoding: chunked, gzip"], `0\r\n\r\n${SMUGGLED}`)],
  ["a coding behind a vertical tab", post(["Transfer-Encoding: \u000bchunked"], `0\r\n\r\n${SMUGGLED}`)],
  ["a space before the colon", post(["Transfer-Encoding : chunked"], `0\r\n\r\n${SMUGGLED}`)],
  ["a header on two lines", post(["X: a\r\n Transfer-Encoding: chunked"], `0\r\n\r\n${SMUGGLED}`)],
  ["bare line feeds", "GET / HTTP/1.1\nHost: x\nContent-Length: 0\n\n"],
  ["a carriage return in a value", `GET / HTTP/1.1\r\n${HOST}\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n`],
  ["a null in a name", `GET / HTTP/1.1\r\n${HOST}\r\nX\0Y: a\r\n\r\n`],
  ["a chunk past every number", post(["Transfer-Encoding: chunked"], `${"f".repeat(17)}\r\nx\r\n`)],
  ["a negative chunk", post(["Transfer-Encoding: chunked"], `-1\r\nx\r\n0\r\n\r\n`)],
  ["a chunk that goes on", post(["Transfer-Encoding: chunked"], `1\r\nxyz\r\n0\r\n\r\n`)],
  ["a chunk in bare line feeds", post(["Transfer-Encoding: chunked"], `1\nx\n0\n\n`)],
  ["a header without end", `GET / HTTP/1.1\r\n${HOST}\r\nX: ${"x".repeat(100_000)}\r\n\r\n`],
  ["a path without end", `GET /${"x".repeat(100_000)} HTTP/1.1\r\n${HOST}\r\n\r\n`],
  ["headers without end", `GET / HTTP/1.1\r\n${HOST}\r\n${"X: y\r\n".repeat(20_000)}\r\n`],
  ["trailers without end", post(["Transfer-Encoding: chunked"], `0\r\n${"X: y\r\n".repeat(20_000)}\r\n`)],
  ["a chunk's extension without end", post(["Transfer-Encoding: chunked"], `1;${"x".repeat(100_000)}\r\nx\r\n`)],
  ["another protocol", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ["a TLS greeting", "\u0016\u0003\u0001\u0002\0\u0001\0\u0001\u00fc\u0003\u0003"],
  ["a version that never was", `GET / HTTP/9.9\r\n${HOST}\r\n\r\n`],
];

const LINES: [string, ...string[]] = [
  "GET /v1/instances HTTP/1.1",
  "POST /v1/instances HTTP/1.1",
  "GET http://x/v1/self HTTP/1.1",
  "OPTIONS * HTTP/1.1",
  "CONNECT x:80 HTTP/1.1",
  "HEAD / HTTP/1.0",
  "GET /",
];
const HEADERS: [string, ...string[]] = [
  HOST,
  "Content-Length: 2",
  "Content-Length: 0",
  "Transfer-Encoding: chunked",
  "Connection: upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Key: x",
  "Sec-WebSocket-Version: 13",
  "Expect: 100-continue",
  "Content-Type: application/json",
  "Connection: keep-alive",
  "TE: trailers",
];

/** What begins like HTTP and then has bytes changed, taken away, doubled or put between; or nothing but bytes. */
export function brokenBytes(random: FuzzRandom): Buffer {
  if (random.chance(0.1)) return random.bytes(1 + random.below(500));
  const headers = Array.from({ length: random.below(6) }, () => random.pick(HEADERS));
  const body = random.pick(["", "{}", "2\r\n{}\r\n0\r\n\r\n", random.text()]);
  const bytes = Buffer.from([random.pick(LINES), ...headers, "", body].join("\r\n"), "latin1");
  const at = random.below(bytes.length);
  switch (random.below(5)) {
    case 0:
      return bytes;
    case 1:
      return Buffer.concat([bytes.subarray(0, at), random.bytes(1 + random.below(4)), bytes.subarray(at)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
    case 3:
      return Buffer.concat([bytes, bytes.subarray(at)]);
    default:
      bytes[at] = random.below(256);
      return bytes;
  }
}
