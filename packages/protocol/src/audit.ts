/** Who did something: a person on this machine, a process in an instance, or the daemon of its own accord. */
export type AuditActor =
  | { kind: "host"; uid: number }
  | { kind: "instance"; instance_id: string; handle: string; boot: number }
  | { kind: "daemon" };

export const AUDIT_ACTIONS = [
  "instance.create",
  "instance.start",
  "instance.stop",
  "instance.restart",
  "instance.disable",
  "instance.pause",
  "instance.hibernate",
  "instance.resume",
  "instance.replace",
  "instance.update",
  "instance.delete",
  "instance.prune",
  "instance.exec",
  "instance.expose",
  "instance.unexpose",
  "instance.read",
  "preview.create",
  "preview.delete",
  "public_url.set",
  "secret.set",
  "secret.delete",
  "secret.use",
  "secret.assign",
  "secret.rotate_key",
  "workspace.read",
  "workspace.write",
  "image.pull",
  "image.delete",
  "image.prune",
  "image.warm",
  "network.connect",
  "binding.request",
  "capability.grant",
  "capability.revoke",
  "channel.open",
  "router.request",
  "daemon.start",
  "daemon.stop",
  /** a call that changes something and has no name of its own here; `target` is the method and the path */
  "api.call",
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/** `refused`: it was not allowed. `failed`: it was, and went wrong. */
export const AUDIT_DECISIONS = ["allowed", "refused", "failed"] as const;
export type AuditDecision = (typeof AUDIT_DECISIONS)[number];

/** A line of `GET /v1/audit`. `seq` grows by one and survives a daemon restart. Holds names, never values of secrets. */
export interface AuditEntry {
  seq: number;
  ts: string;
  actor: AuditActor;
  action: AuditAction;
  /** the id of an instance, or the name of a secret, image, binding, workspace or destination */
  target: string;
  decision: AuditDecision;
  /** why it was refused or failed */
  reason: string | null;
  /** what else tells it from others of its kind: the program of an exec, the variable that a secret went to */
  detail?: string;
  /** stands for so many more of the same, which came too fast to be written one by one */
  more?: number;
}

/** `GET /v1/audit/verify`: whether the lines are those that were written, in their order. */
export interface AuditVerdict {
  entries: number;
  files: number;
  /** of the oldest entry that is kept; null when there is none */
  first_seq: number | null;
  last_seq: number | null;
  /** the first place where the chain of hashes breaks; null when it holds */
  broken: string | null;
}
