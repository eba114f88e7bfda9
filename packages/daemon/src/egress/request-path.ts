import { matchesAny } from "../core/glob.ts";
import { judgePath } from "../core/path-rule.ts";
import type { BindingTarget } from "../core/binding-target.ts";
import { Refused } from "./refused.ts";

/** Echoes the request, and with it the key, or turns the connection into something else. */
const NEVER = ["TRACE", "TRACK", "CONNECT"];

/**
 * The path to ask the upstream for.
 * @throws Refused when the method or the path is not allowed, or the path is one that servers read in different ways
 */
export function upstreamPath(target: BindingTarget, method: string, url: string): string {
  const split = url.indexOf("?");
  const path = split === -1 ? url : url.slice(0, split);
  const query = split === -1 ? "" : url.slice(split);
  if (!/^\/[!-~]*$/.test(path) || !/^[!-~]*$/.test(query) || url.includes("#"))
    throw new Refused(
      "malformed",
      `${JSON.stringify(url.slice(0, 200))} is no path: it begins with a / and holds visible ASCII.`,
    );
  checkMethod(target, method);
  const isConfined = target.rules !== null || target.upstream.pathname !== "/" || target.prefix !== "";
  if (!path.startsWith(target.prefix)) throw notLetThrough(method, path);
  checkPath(target, method, isConfined ? plainPath(path) : path);
  checkModels(target, query);
  const below = path.slice(target.prefix.length);
  return `${target.upstream.pathname.replace(/\/$/, "")}${below}${query}`;
}

function checkMethod({ methods }: BindingTarget, method: string): void {
  if (!NEVER.includes(method) && (methods === null || methods.includes(method))) return;
  const allow = methods === null ? {} : { allow: methods.join(", ") };
  throw new Refused("method", `This binding does not let ${method} through.`, allow);
}

function checkPath({ rules, prefix }: BindingTarget, method: string, path: string): void {
  const verdict = path === prefix || path.startsWith(`${prefix}/`) ? judgePath(rules, method, path) : "path";
  if (verdict === "allowed") return;
  throw notLetThrough(method, path, verdict);
}

const notLetThrough = (method: string, path: string, verdict: "path" | "method" = "path"): Refused =>
  new Refused(verdict, `This binding does not let ${method} ${path.slice(0, 200)} through.`);

/** Some services take the model from the query. */
function checkModels({ models }: BindingTarget, query: string): void {
  for (const model of modelsIn(query)) if (models !== null) checkModel(models, model);
}

/** @throws Refused when a WebSocket, which has no body, does not say which of the allowed models it is for */
export function needsModel({ models }: BindingTarget, path: string): void {
  if (models === null || modelsIn(path.slice(path.indexOf("?") + 1)).length > 0) return;
  throw new Refused(
    "malformed",
    "This binding lets certain models through only: name one in the query, as in ?model=.",
  );
}

const modelsIn = (query: string): string[] => new URLSearchParams(query).getAll("model");

/**
 * A path with what is percent-encoded decoded. Where only a part of the service is let through, it has to mean the same
 * to every server: no dot segments, empty segments, backslashes or encoded separators, none of them encoded twice.
 */
function plainPath(path: string): string {
  const decoded = decode(path);
  const odd = decoded === null || /[^ -~\u{80}-\u{10ffff}]|\\|\/\/|%/u.test(decoded) || /%2f/i.test(path);
  if (odd || decoded.split("/").some((segment) => /^\.{1,2}(;.*)?$/.test(segment))) {
    throw new Refused(
      "path",
      `The path ${path.slice(0, 200)} could be read as another one. Ask for it in its plain form.`,
    );
  }
  return decoded;
}

function decode(path: string): string | null {
  try {
    return decodeURIComponent(path);
  } catch {
    return null;
  }
}

/** @throws Refused in the words of a provider that has no such model */
export function checkModel(models: readonly string[], model: string): void {
  if (matchesAny(models, model)) return;
  throw new Refused(
    "model",
    `The model ${JSON.stringify(model.slice(0, 200))} does not exist or this instance may not use it.`,
  );
}
