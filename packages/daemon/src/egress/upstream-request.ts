import http from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import type { Exchange } from "./exchange.ts";
import { Refused } from "./refused.ts";

/** Opens the request to the upstream; its body is the caller's to send. What goes wrong is a {@link Refused} `error`. */
export function upstreamRequest(exchange: Exchange, agent: http.Agent | false = exchange.agent): http.ClientRequest {
  const { target, method, path, headers } = exchange;
  const { protocol, hostname, port } = target.upstream;
  const send = protocol === "https:" ? https.request : http.request;
  const upstream = send({
    protocol,
    hostname: hostname.replace(/^\[|\]$/g, ""),
    ...(port === "" ? {} : { port }),
    method,
    path,
    headers,
    agent,
    setHost: false,
    timeout: target.idleMs,
  });
  upstream.once("timeout", () => upstream.destroy(silent(exchange)));
  upstream.once("socket", (socket) => limitConnect(upstream, socket, exchange));
  return upstream;
}

function limitConnect(upstream: http.ClientRequest, socket: Socket, exchange: Exchange): void {
  if (upstream.reusedSocket) return;
  const { connectMs, upstream: url } = exchange.target;
  const timer = setTimeout(() => upstream.destroy(unanswered(exchange)), connectMs);
  const ready = url.protocol === "https:" ? "secureConnect" : "connect";
  socket.once(ready, () => clearTimeout(timer)).once("close", () => clearTimeout(timer));
}

const outside = "It runs outside of this instance.";

const silent = ({ name, target }: Exchange): Refused =>
  new Refused(
    "timeout",
    `The service behind the binding ${name} said nothing for ${target.idleMs / 1000} s. ${outside}`,
  );

const unanswered = ({ name, target }: Exchange): Refused =>
  new Refused(
    "timeout",
    `The service behind the binding ${name} could not be reached within ${target.connectMs / 1000} s. ${outside}`,
  );

/** What went wrong with an upstream, as a gateway would say it. */
export function upstreamFailure(name: string, error: unknown): Refused {
  if (error instanceof Refused) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : null;
  const why = code ?? (error instanceof Error ? error.name : "unknown");
  return new Refused("unreachable", `The service behind the binding ${name} could not be reached (${why}). ${outside}`);
}
