import type { AuditAction } from "@aegis/protocol/audit";

/** What the audit log shall know of a call. */
export interface CallContent {
  params: Readonly<Record<string, unknown>>;
  query: Readonly<Record<string, unknown>>;
  body: Readonly<Record<string, unknown>>;
  /** what was answered, empty for a stream */
  answer: Readonly<Record<string, unknown>>;
}

interface AuditedCall {
  action: AuditAction;
  /** where it is not the instance in the path */
  target?: (content: CallContent) => unknown;
  detail?: (content: CallContent) => string | undefined;
}

/** Leases keep an instance awake and give no right; the others only look. */
const WITHOUT_EFFECT: readonly string[] = [
  "POST /v1/instances/:id/lease",
  "DELETE /v1/instances/:id/lease/:lease",
  "POST /v1/self/keepalive",
  "DELETE /v1/self/keepalive",
];

/** The arguments may hold what is nobody else's business: only their number is told. */
export function programOf(command: unknown): string | undefined {
  if (!Array.isArray(command) || command.length === 0) return undefined;
  const more = command.length - 1;
  return `${String(command[0])}${more === 0 ? "" : ` and ${more} argument${more === 1 ? "" : "s"}`}`;
}

const spec = ({ body, answer }: CallContent): string | undefined => {
  const handle = answer["handle"] ?? body["handle"];
  const parts = [handle, answer["image_ref"] ?? body["image_ref"]].filter((part) => typeof part === "string");
  return parts.length === 0 ? undefined : parts.join(", ");
};
const port = ({ params, body }: CallContent): string => `port ${String(params["port"] ?? body["port"])}`;
const secrets = ({ body: { secrets: names } }: CallContent): string | undefined =>
  Array.isArray(names) ? names.join(", ") : undefined;
const fields = ({ body }: CallContent): string => Object.keys(body).join(", ");
const path = ({ query }: CallContent): string | undefined =>
  typeof query["path"] === "string" ? query["path"] : undefined;
/** by its id: the link itself is a secret */
const preview = ({ params, answer }: CallContent): string => String(params["preview"] ?? answer["preview_id"]);
const named = ({ params }: CallContent): unknown => params["name"];
const created = ({ answer, body }: CallContent): unknown => answer["id"] ?? body["handle"] ?? "an instance";

/** By method and path as they are routed, host and Guest API alike: what is the same has the same name. */
const calls: Record<string, AuditedCall> = {
  "POST /v1/instances": { action: "instance.create", target: created, detail: spec },
  "PUT /v1/instances/:id": { action: "instance.replace", detail: spec },
  "PATCH /v1/instances/:id": { action: "instance.update", detail: fields },
  "DELETE /v1/instances/:id": { action: "instance.delete" },
  "POST /v1/instances/:id/start": { action: "instance.start" },
  "POST /v1/instances/:id/stop": { action: "instance.stop" },
  "POST /v1/instances/:id/restart": { action: "instance.restart" },
  "POST /v1/instances/:id/disable": { action: "instance.disable" },
  "POST /v1/instances/:id/pause": { action: "instance.pause" },
  "POST /v1/instances/:id/hibernate": { action: "instance.hibernate" },
  "POST /v1/instances/:id/resume": { action: "instance.resume" },
  "POST /v1/self/restart": { action: "instance.restart" },
  "POST /v1/instances/prune": {
    action: "instance.prune",
    target: () => "stopped instances",
    detail: ({ answer: { deleted } }) => (Array.isArray(deleted) ? deleted.join(", ") : undefined),
  },
  "POST /v1/instances/:id/exec": { action: "instance.exec", detail: ({ body }) => programOf(body["command"]) },
  "POST /v1/instances/:id/expose": { action: "instance.expose", detail: port },
  "DELETE /v1/instances/:id/expose/:port": { action: "instance.unexpose", detail: port },
  "POST /v1/self/expose": { action: "instance.expose", detail: port },
  "DELETE /v1/self/expose/:port": { action: "instance.unexpose", detail: port },
  "POST /v1/instances/:id/previews": { action: "preview.create", detail: preview },
  "DELETE /v1/instances/:id/previews/:preview": { action: "preview.delete", detail: preview },
  "POST /v1/self/previews": { action: "preview.create", detail: preview },
  "DELETE /v1/self/previews/:preview": { action: "preview.delete", detail: preview },
  "PUT /v1/public-url": { action: "public_url.set", target: ({ body }) => body["url"] ?? "none" },
  "PUT /v1/instances/:id/capabilities": { action: "capability.grant", detail: fields },
  "DELETE /v1/instances/:id/capabilities": { action: "capability.revoke", detail: () => "all" },
  "PUT /v1/instances/:id/secrets": { action: "secret.assign", detail: secrets },
  "PUT /v1/secrets/:name": { action: "secret.set", target: named },
  "DELETE /v1/secrets/:name": { action: "secret.delete", target: named },
  "POST /v1/secrets/rotate-key": { action: "secret.rotate_key", target: () => "the key of all secrets" },
  "GET /v1/instances/:id/workspace": { action: "workspace.read", detail: path },
  "GET /v1/instances/:id/workspace/tree": { action: "workspace.read", detail: () => "the list of files" },
  "POST /v1/instances/:id/workspace": { action: "workspace.write", detail: path },
  "DELETE /v1/instances/:id/workspace": {
    action: "workspace.write",
    detail: ({ query }) => `${String(query["path"])} (deleted)`,
  },
  "POST /v1/images": { action: "image.pull", target: ({ body }) => body["ref"] },
  "POST /v1/images/warm": { action: "image.warm", target: ({ body }) => body["ref"] },
  "POST /v1/images/prune": { action: "image.prune", target: () => "*" },
  "DELETE /v1/images/*": { action: "image.delete", target: ({ params }) => params["*"] },
  "POST /v1/shutdown": { action: "daemon.stop", target: () => "aegisd" },
};

/** Null for a call that is no matter of the audit log; what only looks is one when it was refused. */
export function auditedCall(method: string, route: string, isRefused: boolean): AuditedCall | null {
  const key = `${method} ${route}`;
  const known = calls[key];
  if (known !== undefined) return known;
  if (WITHOUT_EFFECT.includes(key) && !isRefused) return null;
  if (method !== "GET" && method !== "HEAD") return { action: "api.call", target: () => key };
  return isRefused ? { action: "instance.read" } : null;
}

/** True for a route whose calls have a name of their own in the audit log, or are known to need none. */
export const isNamed = (method: string, route: string): boolean =>
  method === "GET" ||
  method === "HEAD" ||
  WITHOUT_EFFECT.includes(`${method} ${route}`) ||
  calls[`${method} ${route}`] !== undefined;
