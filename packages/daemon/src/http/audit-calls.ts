import type { FastifyRequest } from "fastify";
import type { AuditActor, AuditDecision } from "@aegis/protocol/audit";
import type { ErrorCode } from "@aegis/protocol/errors";
import { isErrorCode } from "@aegis/protocol/errors";
import type { Audit } from "../core/audit.ts";
import type { App } from "./app.ts";
import { auditedCall, isNamed } from "./audited-calls.ts";
import type { CallContent } from "./audited-calls.ts";

export interface AuditedApi {
  audit: Audit;
  actor: (request: FastifyRequest) => AuditActor;
  /** the id behind what a path names; the name itself when there is no such instance */
  idOf: (idOrHandle: string) => string;
  warn: (message: string) => void;
}

/** What becomes known while a call goes on. */
interface Note {
  /** looked up before the call: afterwards the instance may be gone */
  instanceId: string;
  answer: Record<string, unknown>;
}

const REFUSALS: readonly ErrorCode[] = ["capability_refused", "forbidden", "unauthorized"];

/** Tells the audit log of every call that changes something, and of every one that was refused, as it is answered. */
export function auditCalls(app: App, { audit, actor, idOf, warn }: AuditedApi): void {
  app.addHook("onRoute", ({ method, url }) => {
    for (const name of [method].flat())
      if (!isNamed(name, url)) warn(`${name} ${url} has no name of its own in the audit log (audited-calls.ts)`);
  });
  const notes = new WeakMap<FastifyRequest, Note>();
  app.addHook("onRequest", (request, _reply, done) => {
    const { id } = recordOf(request.params);
    notes.set(request, { instanceId: typeof id === "string" ? idOf(id) : "", answer: {} });
    done();
  });
  app.addHook("preSerialization", (request, _reply, payload, done) => {
    const note = notes.get(request);
    if (note !== undefined) note.answer = recordOf(payload);
    done(null, payload);
  });
  app.addHook("onSend", (request, reply, payload, done) => {
    const note = notes.get(request);
    if (note !== undefined) tell(request, note, reply.statusCode);
    done(null, payload);
  });

  function tell(request: FastifyRequest, { instanceId, answer }: Note, status: number): void {
    const { url: route } = request.routeOptions;
    if (route === undefined) return;
    const who = actor(request);
    const decision = status < 400 ? "allowed" : decisionOf(answer["code"], who);
    const call = auditedCall(request.method, route, decision === "refused");
    if (call === null) return;
    const content = contentOf(request, answer);
    const detail = call.detail?.(content);
    const target = call.target?.(content) ?? instanceId;
    const self = who.kind === "instance" ? who.instance_id : "aegisd";
    audit.record({
      actor: who,
      action: call.action,
      target: typeof target === "string" && target !== "" ? target : self,
      decision,
      reason: decision === "allowed" ? null : reasonOf(call.action, answer),
      ...(detail === undefined ? {} : { detail }),
    });
  }
}

/** To an instance everything that is not its own does not exist: asking for it all the same is a refusal. */
export function decisionOf(code: unknown, actor: AuditActor): AuditDecision {
  if (typeof code !== "string" || !isErrorCode(code)) return "failed";
  const stranger = actor.kind === "instance" && code === "instance_not_found";
  return stranger || REFUSALS.includes(code) ? "refused" : "failed";
}

/** What a bad request with a secret in it is told may quote the request. */
function reasonOf(action: string, { error, code }: Record<string, unknown>): string {
  const shown = action.startsWith("secret.") ? code : error;
  return typeof shown === "string" ? shown : "unknown";
}

const contentOf = ({ params, query, body }: FastifyRequest, answer: Record<string, unknown>): CallContent => ({
  params: recordOf(params),
  query: recordOf(query),
  body: recordOf(body),
  answer,
});

const recordOf = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : {};
