import type http from "node:http";
import { fillTemplate } from "../core/binding-target.ts";
import type { BindingTarget } from "../core/binding-target.ts";
import { isHopByHop } from "../core/hop-by-hop.ts";
import { Refused } from "./refused.ts";

/** Ways to ask one thing and mean another, which some servers take. */
const OVERRIDES = ["x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url"];
const CONNECTION = ["host", "expect", "keep-alive", "proxy-authorization", "proxy-authenticate", "http2-settings"];

/** A server behind CGI takes `x_api_key` for `x-api-key`. */
const sameToCgi = (name: string): string => name.replaceAll("_", "-");

/**
 * The headers to send on: those of the connection are left out, those of the binding put in the place of the instance's.
 * @param reveal the value of a secret
 * @throws what `reveal` throws
 */
export function requestHeaders(
  request: http.IncomingMessage,
  target: BindingTarget,
  reveal: (name: string) => string,
): http.OutgoingHttpHeaders {
  const added = addedHeaders(target, reveal);
  const isConfined = target.rules !== null || target.methods !== null;
  const left = new Set([
    ...CONNECTION,
    ...target.withheld,
    ...Object.keys(target.headers),
    ...(isConfined ? OVERRIDES : []),
    ...namedByConnection(request.headers.connection),
  ]);
  const own = Object.entries(request.headers).filter(([name]) => !isHopByHop(name) && !left.has(sameToCgi(name)));
  return { ...target.defaults, ...Object.fromEntries(own), host: target.upstream.host, ...framing(request), ...added };
}

/** A body of unknown length is chunked again, whatever the method: without that, it would be read as another request. */
const framing = ({ headers }: http.IncomingMessage): http.OutgoingHttpHeaders =>
  headers["transfer-encoding"] === undefined ? {} : { "transfer-encoding": "chunked" };

function addedHeaders({ headers }: BindingTarget, reveal: (name: string) => string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, template]) => {
      const value = fillTemplate(template, reveal);
      return [name, value];
    }),
  );
}

/** @throws Refused when the value of a secret cannot be in a header */
export function headerSecret(name: string, value: string): string {
  if (/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) return value;
  throw new Refused(
    "secret",
    `The secret ${name} holds a line break or another character that no header may hold. Set it again on the host.`,
  );
}

/** Names and values of an answer as they came, in order, repeated ones kept, without those of the connection. */
export function responseHeaders({ rawHeaders, headers }: http.IncomingMessage): string[] {
  const left = new Set(namedByConnection(headers.connection));
  const kept: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = rawHeaders.slice(at, at + 2);
    if (!isHopByHop(name) && !left.has(name.toLowerCase())) kept.push(name, value);
  }
  return kept;
}

const namedByConnection = (value: string | undefined): string[] =>
  (value ?? "")
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "" && name !== "content-length");
