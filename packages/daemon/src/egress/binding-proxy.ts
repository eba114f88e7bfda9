import http from "node:http";
import https from "node:https";
import type { Duplex } from "node:stream";
import type { Binding } from "@aegis/protocol/instance";
import type { ErrorBody } from "@aegis/protocol/errors";
import { isHopByHop } from "../core/hop-by-hop.ts";
import type { Secrets } from "../core/secrets.ts";

interface Caller {
  binding: Binding;
  /** counts as activity until called */
  hold: () => () => void;
}

/**
 * The host's end of bindings: HTTP from inside an instance, sent on to the upstream with the headers that the binding
 * adds. Secrets in those headers never enter the instance; what the instance sends under the same names is replaced.
 */
export class BindingProxy {
  readonly #secrets: Pick<Secrets, "reveal">;
  readonly #callers = new WeakMap<Duplex, Caller>();
  readonly #server = http.createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 });

  constructor(secrets: Pick<Secrets, "reveal">) {
    this.#secrets = secrets;
    this.#server.on("request", (request, response) => this.#forward(request, response));
  }

  /** Takes over a stream that a process inside opened on the binding's port. */
  accept(stream: Duplex, binding: Binding, hold: () => () => void): void {
    stream.on("error", () => stream.destroy());
    this.#callers.set(stream, { binding, hold });
    this.#server.emit("connection", stream);
    // the server reads the socket's handle by itself: what was read ahead would wait for ever
    stream.resume();
  }

  #forward(request: http.IncomingMessage, response: http.ServerResponse): void {
    const caller = this.#callers.get(request.socket);
    if (caller === undefined) return void response.destroy();
    const release = caller.hold();
    response.once("close", release);
    try {
      const upstream = this.#open(request, caller.binding);
      upstream.on("response", (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.statusMessage, endToEnd(answer.headers));
        answer.pipe(response);
        answer.once("error", () => response.destroy());
      });
      upstream.on("error", (error: NodeJS.ErrnoException) =>
        refuse(response, caller.binding, error.code ?? error.name),
      );
      response.once("close", () => upstream.destroy());
      request.pipe(upstream);
    } catch (error) {
      refuse(response, caller.binding, error instanceof Error ? error.message : String(error));
    }
  }

  #open(request: http.IncomingMessage, binding: Binding): http.ClientRequest {
    const base = new URL(binding.upstream);
    const path = `${base.pathname.replace(/\/$/, "")}${request.url ?? "/"}`;
    const send = base.protocol === "https:" ? https.request : http.request;
    return send({
      protocol: base.protocol,
      hostname: base.hostname.replace(/^\[|\]$/g, ""),
      ...(base.port === "" ? {} : { port: base.port }),
      method: request.method ?? "GET",
      path,
      headers: { ...endToEnd(request.headers), host: base.host, ...this.#added(binding) },
    });
  }

  #added(binding: Binding): Record<string, string> {
    return Object.fromEntries(
      Object.entries(binding.headers ?? {}).map(([name, template]) => [
        name.toLowerCase(),
        template.replace(/\$\{secret:([^}]*)\}/g, (_match, secret: string) => this.#secrets.reveal(secret)),
      ]),
    );
  }
}

const endToEnd = (headers: http.IncomingHttpHeaders): http.OutgoingHttpHeaders =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name !== "host" && !isHopByHop(name)));

function refuse(response: http.ServerResponse, binding: Binding, why: string): void {
  if (response.headersSent) return void response.destroy();
  const body: ErrorBody = {
    error: `The service behind the binding ${binding.name} could not be reached (${why}). It runs outside of this instance.`,
    code: "unavailable",
  };
  response.writeHead(502, { "content-type": "application/json" }).end(JSON.stringify(body));
}
