import { AUDIT_ACTIONS, AUDIT_DECISIONS } from "@aegis/protocol/audit";
import { AegisError } from "@aegis/protocol/errors";
import { selectAudit } from "../../core/audit.ts";
import type { AuditLog, AuditQuery } from "../../core/audit.ts";
import type { Instances } from "../../core/instances.ts";
import type { App } from "../app.ts";
import { sendNdjson } from "../ndjson.ts";
import { queryCount, queryFlag, queryText, queryTime } from "../query.ts";
import type { Query } from "../query.ts";

const MOST = 10_000;

/** The audit log, for people on this machine only. */
export function auditRoutes(app: App, log: AuditLog, instances: Instances): void {
  app.get<{ Querystring: Query }>("/v1/audit", ({ query }, reply) => {
    const wanted = auditQuery(query, (name) => instances.peek(name)?.id ?? name);
    return sendNdjson(reply, (signal) => selectAudit(log, wanted, signal));
  });
  app.get("/v1/audit/verify", () => log.verify());
}

function auditQuery(query: Query, idOf: (idOrHandle: string) => string): AuditQuery {
  const instance = queryText(query, "instance");
  const action = oneOf(query, "action", AUDIT_ACTIONS);
  const decision = oneOf(query, "decision", AUDIT_DECISIONS);
  const since = queryTime(query, "since");
  const limit = queryCount(query, "limit");
  if (limit !== undefined && limit > MOST)
    throw new AegisError("invalid_request", `The parameter limit may be ${MOST} at most. Leave it out for everything.`);
  return {
    sinceSeq: queryCount(query, "since_seq") ?? 0,
    follow: queryFlag(query, "follow"),
    ...(instance === undefined ? {} : { instanceId: idOf(instance) }),
    ...(action === undefined ? {} : { action }),
    ...(decision === undefined ? {} : { decision }),
    ...(since === undefined ? {} : { since }),
    ...(limit === undefined ? {} : { limit }),
  };
}

/** @throws AegisError `invalid_request` that lists what there is */
function oneOf<T extends string>(query: Query, name: string, known: readonly T[]): T | undefined {
  const value = queryText(query, name);
  if (value === undefined) return undefined;
  const found = known.find((one) => one === value);
  if (found !== undefined) return found;
  throw new AegisError("invalid_request", `There is no ${name} ${value}; there are ${known.join(", ")}.`);
}
