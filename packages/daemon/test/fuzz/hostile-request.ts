import type { FuzzRandom } from "./fuzz-random.ts";

export interface HostileRequest {
  method: string;
  path: string;
  headers?: Record<string, string>;
  body?: string;
}

/** `:id` is filled in with an instance, or with something worse. */
export const HOST_ROUTES: [string, ...string[]] = [
  "GET /v1/status",
  "GET /v1/instances",
  "POST /v1/instances",
  "GET /v1/instances/:id",
  "PUT /v1/instances/:id",
  "PATCH /v1/instances/:id",
  "DELETE /v1/instances/:id",
  "POST /v1/instances/:id/start",
  "POST /v1/instances/:id/stop",
  "POST /v1/instances/:id/restart",
  "POST /v1/instances/:id/disable",
  "POST /v1/instances/:id/pause",
  "POST /v1/instances/:id/resume",
  "POST /v1/instances/:id/exec",
  "GET /v1/instances/:id/exec",
  "GET /v1/instances/:id/logs",
  "POST /v1/instances/:id/expose",
  "DELETE /v1/instances/:id/expose/:x",
  "POST /v1/instances/:id/lease",
  "DELETE /v1/instances/:id/lease/:x",
  "PUT /v1/instances/:id/secrets",
  "GET /v1/instances/:id/workspace",
  "POST /v1/instances/:id/workspace",
  "GET /v1/instances/:id/workspace/tree",
  "DELETE /v1/instances/:id/workspace",
  "POST /v1/instances/prune",
  "PUT /v1/secrets/:x",
  "GET /v1/secrets/:x",
  "GET /v1/secrets",
  "DELETE /v1/secrets/:x",
  "GET /v1/images",
  "POST /v1/images",
  "DELETE /v1/images/:x",
  "GET /v1/kits",
  "GET /v1/audit",
  "GET /v1/audit/verify",

  "GET /metrics",
  "GET /openapi.json",
  "GET /:x",
  "POST /v1/:x",
];

export const GUEST_ROUTES: [string, ...string[]] = [
  "GET /v1/self",
  "POST /v1/self/keepalive",
  "DELETE /v1/self/keepalive",
  "DELETE /v1/self/keepalive/:x",
  "POST /v1/self/expose",
  "DELETE /v1/self/expose/:x",
  "GET /v1/self/workspace",
  "POST /v1/instances",
  "GET /v1/instances",
  "GET /v1/instances/:id",
  "DELETE /v1/instances/:id",
  "POST /v1/instances/:id/start",
  "POST /v1/instances/:id/stop",
  "POST /v1/instances/:id/exec",
  "GET /v1/instances/:id/exec",
  "GET /v1/instances/:id/logs",
  "POST /v1/instances/:id/expose",
  "GET /v1/instances/:id/workspace",
  "POST /v1/instances/:id/workspace",
  "DELETE /v1/instances/:id/workspace",

  "GET /v1/status",
  "GET /v1/secrets",
  "PUT /v1/secrets/:x",
  "GET /v1/audit",
  "GET /:x",
  "POST /v1/:x",
];

const FIELDS: [string, ...string[]] = [
  "handle",
  "command",
  "image_ref",
  "env",
  "secrets",
  "workspace",
  "exposes",
  "memory_mb",
  "vcpus",
  "disk_mb",
  "idle_policy",
  "pause_after_idle_s",
  "stop_after_paused_s",
  "restart",
  "pause_hook",
  "capabilities",
  "network",
  "bindings",
  "kit",
  "driver",
  "read_only_root",
  "port",
  "public_port",
  "protocol",
  "ttl_ms",
  "reason",
  "value",
  "ref",
  "cwd",
  "user",
  "stdin",
  "tty",
  "force",
  "stopped_older_than_s",
  "__proto__",
  "tree",
  "orphans",
];
const CALM: Record<string, unknown[]> = {
  command: [["sleep", "1000"], ["true"], ["false"], ["echo", "x"], ["serve", "80"]],
  handle: ["a", "b", "c"],
  workspace: ["w", "../w", "w/../..", "/nope"],
  exposes: [[80], [{ port: 80 }], []],
  capabilities: [{ spawn: true, spawn_depth: 1, max_children: 2 }, {}, { tree: {} }],
  port: [80, 81],
  ttl_ms: [100, 1000],
  value: ["v"],
  ref: ["test"],
};
const QUERIES: [string, ...string[]] = [
  "path",
  "tail",
  "since",
  "since_seq",
  "state",
  "parent_id",
  "force",
  "limit",
  "request",
  "instance",
  "action",
  "wait",
];
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

/** A request for a route, with fields, queries and headers as nobody means them. */
export function hostileRequest(
  random: FuzzRandom,
  routes: [string, ...string[]],
  ids: readonly string[],
): HostileRequest {
  const [method = "GET", pattern = "/"] = random.pick(routes).split(" ");
  const id = (): string => (random.chance(0.7) ? (ids[random.below(ids.length)] ?? "x") : inPath(random));
  const path = pattern.replace(":id", id).replace(":x", () => inPath(random));
  const request: HostileRequest = { method, path: path + query(random) };
  if (random.chance(0.1)) request.headers = { [random.pick(HEADERS)]: printable(random.text()) };
  if (method !== "GET" || random.chance(0.1)) request.body = body(random);
  return request;
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

function query(random: FuzzRandom): string {
  if (random.chance(0.6)) return "";
  const pairs = Array.from({ length: 1 + random.below(3) }, () => `${random.pick(QUERIES)}=${inPath(random)}`);
  return `?${pairs.join("&")}`;
}

function body(random: FuzzRandom): string {
  const kind = random.below(20);
  if (kind === 0) return random.text();
  if (kind === 1) return JSON.stringify(random.json());
  if (kind === 2) return JSON.stringify(fields(random)).slice(0, -1 - random.below(10));
  if (kind === 3) return "[".repeat(1 + random.below(20_000));
  return JSON.stringify(fields(random));
}

function fields(random: FuzzRandom): Record<string, unknown> {
  const chosen = Array.from({ length: random.below(5) }, () => random.pick(FIELDS));
  if (random.chance(0.5)) chosen.push("command");
  return Object.fromEntries(
    chosen.map((name) => {
      const calm = CALM[name];
      const value = calm !== undefined && random.chance(0.6) ? calm[random.below(calm.length)] : random.json();
      return [name, value];
    }),
  );
}
