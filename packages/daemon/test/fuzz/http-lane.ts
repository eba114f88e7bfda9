import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { splice } from "../../src/ingress/splice.ts";
import type { HostileRequest } from "./hostile-request.ts";

const PATIENCE_MS = 60_000;

/** Sends one request and gives the status of its answer; of a stream that does not end, the head is enough. */
export function sendRequest(agent: http.Agent, request: HostileRequest): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const { method, path, body } = request;
  const headers = { ...(body === undefined ? {} : { "content-type": "application/json" }), ...request.headers };
  const sent = http.request({ agent, method, path, headers, timeout: PATIENCE_MS }, (answer) => {
    if (answer.headers["transfer-encoding"] === "chunked" && /ndjson/.test(answer.headers["content-type"] ?? ""))
      answer.destroy();
    else answer.resume();
    answer.once("close", () => resolve(answer.statusCode ?? 0));
    answer.on("error", () => undefined);
  });
  sent.on("timeout", () => sent.destroy(new Error(`no answer to ${method} ${path}`)));
  sent.on("error", reject);
  sent.end(body);
  return promise;
}

/** The body of what is got from a path. */
export async function readAnswer(agent: http.Agent, path: string): Promise<string> {
  const [answer] = (await once(http.get({ agent, path }), "response")) as [http.IncomingMessage];
  return text(answer);
}

/** An agent with so many connections to a socket. */
export function laneAgent(socketPath: string, lanes: number): http.Agent {
  const agent = new http.Agent({ keepAlive: true, maxSockets: lanes });
  return Object.assign(agent, { createConnection: () => net.connect(socketPath) });
}

/** A socket whose connections are streams that `dial` opens, as the harness carries those of processes inside. */
export async function carry(socketPath: string, dial: () => Promise<Duplex>): Promise<net.Server> {
  const server = net.createServer((socket) => {
    socket.on("error", () => socket.destroy());
    dial().then(
      (stream) => splice(socket, stream),
      () => socket.destroy(),
    );
  });
  server.listen(socketPath);
  await once(server, "listening");
  return server;
}
