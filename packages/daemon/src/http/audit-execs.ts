import type http from "node:http";
import type { AuditActor } from "@aegis/protocol/audit";
import { AegisError } from "@aegis/protocol/errors";
import type { Audit } from "../core/audit.ts";
import { decisionOf } from "./audit-calls.ts";
import { programOf } from "./audited-calls.ts";

/** Told of an exec over a WebSocket: `error` is why it did not start, null when it did. */
export type ExecAudit = (request: http.IncomingMessage, target: string, command: string[], error: unknown) => void;

export function auditExecs(audit: Audit, actor: (request: http.IncomingMessage) => AuditActor): ExecAudit {
  return (request, target, command, error) => {
    const who = actor(request);
    const known = error instanceof AegisError ? error : null;
    audit.record({
      actor: who,
      action: "instance.exec",
      target,
      decision: error === null ? "allowed" : decisionOf(known?.code, who),
      reason: error === null ? null : (known?.message ?? "internal"),
      detail: programOf(command) ?? "",
    });
  };
}
