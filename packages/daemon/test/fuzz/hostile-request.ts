import type { ApiCall, Schema } from "./api-calls.ts";
import type { FuzzRandom } from "./fuzz-random.ts";

export interface HostileRequest {
  method: string;
  path: string;
  headers?: Record<string, string>;
  body?: string;
}

/** What gets far, so that what lies behind the checks is reached as well. */
const CALM: Record<string, unknown[]> = {
  command: [["sleep", "1000"], ["true"], ["false"], ["echo", "x"], ["serve", "80"]],
  handle: ["a", "b", "c"],
  workspace: ["w", "w", "../w", "w/../..", "/nope"],
  image_ref: ["test", "docker.io/library/test"],
  ref: ["test"],
  driver: ["fake"],
  port: [80, 81],
  public_port: [1],
  name: ["A"],
  secrets: [[], ["A"], ["B"]],
  // a right one costs what a password has to cost
  password: ["no", "no", "no", "no", "no", "no", "no", "no", "no", "password"],
  bindings: [[], [{ name: "a", port: 9000, upstream: "http://127.0.0.1:1" }]],
};
const HEADERS: [string, ...string[]] = [
  "content-type",
  "accept",
  "x-aegis-instance",
  "authorization",
  "cookie",
  "range",
  "if-none-match",
  "expect",
  "content-encoding",
  "x-forwarded-for",
  "origin",
  "te",
];

/** One of the calls, nearly as it is meant: with values, fields, queries and headers here and there that nobody means. */
export function hostileRequest(
  random: FuzzRandom,
  calls: readonly [ApiCall, ...ApiCall[]],
  ids: readonly string[],
): HostileRequest {
  const { method, path, queries, body } = random.pick(calls);
  const id = (): string => (random.chance(0.8) ? (ids[random.below(ids.length)] ?? "x") : inPath(random));
  const place = (_: string, name: string): string => (name === "id" ? id() : named(random, name));
  const filled = path.replaceAll(/\{(\w+)\}/g, place);
  const request: HostileRequest = { method, path: filled + query(random, queries) };
  if (random.chance(0.1)) request.headers = { [random.pick(HEADERS)]: printable(random.text()) };
  if (body !== null || random.chance(0.1)) request.body = bodyOf(random, body ?? {});
  return request;
}

function named(random: FuzzRandom, name: string): string {
  const calm = CALM[name];
  return calm !== undefined && random.chance(0.6) ? String(calm[random.below(calm.length)]) : inPath(random);
}

const inPath = (random: FuzzRandom): string => {
  const text = random.text();
  if (random.chance(0.5)) return text.replace(/[^!-~]|[?#]/g, "x");
  try {
    return encodeURIComponent(text);
  } catch {
    return "%ED%A0%80"; // half of a surrogate pair cannot be encoded, and may come all the same
  }
};

const printable = (text: string): string => text.replace(/[^\t -~]/g, "x");

function query(random: FuzzRandom, queries: readonly string[]): string {
  const [first = "path", ...others] = queries;
  // a follower is an answer without end: rare, as each of them ends a connection
  const names = [first, ...others].filter((name) => name !== "follow" || random.chance(0.1));
  if (random.chance(queries.length === 0 ? 0.9 : 0.3)) return "";
  return `?${names
    .filter(() => random.chance(0.6))
    .map((name) => `${name}=${inPath(random)}`)
    .join("&")}`;
}

function bodyOf(random: FuzzRandom, schema: Schema): string {
  const kind = random.below(40);
  if (kind === 0) return random.text();
  if (kind === 1) return JSON.stringify(random.json());
  if (kind === 2) return "[".repeat(1 + random.below(20_000));
  const body = JSON.stringify(nearly(random, schema)) ?? "";
  return kind === 3 ? body.slice(0, -1 - random.below(10)) : body;
}

/** A value as the schema has it, mostly. */
function nearly(random: FuzzRandom, schema: Schema, name = ""): unknown {
  if (random.chance(0.05)) return random.json(2);
  const calm = CALM[name];
  if (calm !== undefined && random.chance(0.8)) return calm[random.below(calm.length)];
  const { anyOf, enum: choices } = schema;
  if (schema.const !== undefined) return schema.const;
  if (anyOf !== undefined) return nearly(random, anyOf[random.below(anyOf.length)] ?? {}, name);
  if (choices !== undefined) return choices[random.below(choices.length)];
  switch (schema.type) {
    case "object":
      return object(random, schema);
    case "array": {
      const length = (schema.minItems ?? 0) + random.below(3);
      return Array.from({ length }, () => nearly(random, schema.items ?? {}));
    }
    case "string":
      return random.text();
    case "integer":
    case "number":
      return random.chance(0.7) ? inRange(random, schema) : random.json(0);
    case "boolean":
      return random.chance(0.5);
    default:
      return null;
  }
}

function object(random: FuzzRandom, { properties = {}, required = [], patternProperties = {} }: Schema): object {
  const entries = Object.entries(properties)
    .filter(([name]) => random.chance(required.includes(name) ? 0.95 : 0.25))
    .map(([name, schema]): [string, unknown] => [name, nearly(random, schema, name)]);
  for (const schema of Object.values(patternProperties))
    if (random.chance(0.5)) entries.push([random.pick(["A", "B", "PATH", ""]), nearly(random, schema)]);
  if (random.chance(0.03)) entries.push([random.text(), random.json(1)]);
  return Object.fromEntries(entries);
}

function inRange(random: FuzzRandom, { minimum = 0, maximum = 65_536 }: Schema): number {
  return random.pick([minimum, minimum + 1, Math.min(minimum + random.below(1000), maximum), maximum]);
}
