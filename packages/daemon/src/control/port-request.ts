import http from "node:http";
import type { Duplex } from "node:stream";
import type { GuestRequest, GuestResponse } from "../core/harness.ts";

/** One HTTP request over a stream to a port inside. Of the answer's body, the first `maxBytes` are kept. */
export function requestOver(stream: Duplex, request: GuestRequest, signal: AbortSignal): Promise<GuestResponse> {
  const { path, method, body, maxBytes } = request;
  const { promise, resolve, reject } = Promise.withResolvers<GuestResponse>();
  const fail = (error: Error) => {
    stream.destroy();
    reject(error);
  };
  const sent = http.request({
    createConnection: () => stream,
    method,
    path,
    signal,
    headers: {
      host: "127.0.0.1",
      connection: "close",
      ...(body === null ? {} : { "content-type": "application/json" }),
      ...(body === null && method === "GET" ? {} : { "content-length": Buffer.byteLength(body ?? "") }),
    },
  });
  // the stream comes paused, and only now is somebody there to read it
  sent.once("socket", () => stream.resume());
  sent.on("error", fail);
  sent.on("response", (response) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    response.on("data", (chunk: Buffer) => {
      if (bytes < maxBytes) chunks.push(chunk);
      bytes += chunk.length;
    });
    response.on("error", fail);
    response.on("end", () => {
      stream.destroy();
      resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).subarray(0, maxBytes).toString() });
    });
  });
  sent.end(body ?? undefined);
  return promise;
}
