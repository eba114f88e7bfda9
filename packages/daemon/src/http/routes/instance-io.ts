import Type from "typebox";
import { ExecRequest } from "@aegis/protocol/exec";
import { ExposeRequest } from "@aegis/protocol/instance";
import { AcquireLease } from "@aegis/protocol/lease";
import { AegisError } from "@aegis/protocol/errors";
import type { Instance } from "../../core/instance.ts";
import type { Instances } from "../../core/instances.ts";
import type { LogQuery, Logs } from "../../core/logs.ts";
import type { App } from "../app.ts";
import { execLines } from "../exec-lines.ts";
import { sendNdjson } from "../ndjson.ts";
import { queryCount, queryFlag, queryTime } from "../query.ts";
import type { Query } from "../query.ts";

const Named = Type.Object({ id: Type.String({ maxLength: 128 }) });
export const NamedPort = Type.Object({
  id: Type.String({ maxLength: 128 }),
  port: Type.String({ pattern: "^[0-9]{1,5}$" }),
});
const NamedLease = Type.Object({ id: Type.String({ maxLength: 128 }), lease: Type.String({ maxLength: 128 }) });

/** What goes in and out of an instance: commands, logs, ports, leases. */
export function instanceIoRoutes(app: App, instances: Instances, logs: Logs): void {
  app.post("/v1/instances/:id/exec", { schema: { params: Named, body: ExecRequest } }, ({ params, body }, reply) => {
    const instance = instances.find(params.id);
    refuseStopped(instance);
    return sendNdjson(reply, (signal) => execLines(instance, logs, body, signal));
  });

  app.get<{ Params: { id: string }; Querystring: Query }>("/v1/instances/:id/logs", ({ params, query }, reply) => {
    const { id } = instances.find(params.id);
    const wanted = logQuery(query);
    return sendNdjson(reply, (signal) => logs.read(id, wanted, signal));
  });

  app.post("/v1/instances/:id/expose", { schema: { params: Named, body: ExposeRequest } }, ({ params, body }) =>
    instances.find(params.id).endpoints.expose(body),
  );
  app.delete("/v1/instances/:id/expose/:port", { schema: { params: NamedPort } }, async ({ params }, reply) => {
    await instances.find(params.id).endpoints.unexpose(Number(params.port));
    return reply.status(204).send();
  });

  app.post("/v1/instances/:id/lease", { schema: { params: Named, body: AcquireLease } }, ({ params, body }) =>
    instances.find(params.id).leases.acquire(body),
  );
  app.delete("/v1/instances/:id/lease/:lease", { schema: { params: NamedLease } }, ({ params }, reply) => {
    instances.find(params.id).leases.release(params.lease);
    return reply.status(204).send();
  });
}

/** Before the answer begins, so that it has the right status. */
export function refuseStopped(instance: Instance): void {
  if (instance.state !== "stopped" && instance.state !== "failed") return;
  const { failure } = instance.view();
  throw new AegisError(
    "wrong_state",
    `${instance.handle} is ${instance.state}${failure === null ? "" : ` (${failure})`}. Start it first: aegis instance start ${instance.handle}`,
  );
}

export function logQuery(query: Query): LogQuery {
  const tail = queryCount(query, "tail");
  const since = queryTime(query, "since");
  return {
    follow: queryFlag(query, "follow"),
    ...(tail === undefined ? {} : { tail }),
    ...(since === undefined ? {} : { since }),
  };
}
