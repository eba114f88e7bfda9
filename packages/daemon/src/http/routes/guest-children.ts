import Type from "typebox";
import { ExecRequest } from "@aegis/protocol/exec";
import { ExposeRequest, SpawnInstance } from "@aegis/protocol/instance";
import { childEvents } from "../../core/child-events.ts";
import type { Instance } from "../../core/instance.ts";
import type { App } from "../app.ts";
import { execLines } from "../exec-lines.ts";
import type { CallerOf, GuestApiDeps } from "../guest-api.ts";
import { sendNdjson } from "../ndjson.ts";
import { queryCount, queryFlag } from "../query.ts";
import type { Query } from "../query.ts";
import { logQuery, NamedPort, refuseStopped } from "./instance-io.ts";

const Named = Type.Object({ id: Type.String({ maxLength: 128 }) });

/** What an instance may do with its own children. Everything else answers 404, as if it did not exist. */
export function guestChildRoutes(app: App, { instances, logs, events }: GuestApiDeps, caller: CallerOf): void {
  app.post("/v1/instances", { schema: { body: SpawnInstance } }, async (request, reply) => {
    const child = await instances.spawn(caller(request), request.body);
    const { id, handle, state, parent_id, endpoints } = child.view();
    return reply.status(201).send({ id, handle, state, parent_id, endpoints });
  });
  app.get("/v1/instances", (request) => instances.childrenOf(caller(request)).map((child) => child.view()));
  app.get<{ Querystring: Query }>("/v1/events", (request, reply) => {
    const parent = caller(request);
    const since = queryCount(request.query, "since_seq") ?? 0;
    const follow = queryFlag(request.query, "follow", true);
    return sendNdjson(reply, (signal) => childEvents(events, instances, parent, { since, follow }, signal));
  });

  const one = { schema: { params: Named } };
  const childOf = (request: Parameters<CallerOf>[0] & { params: { id: string } }): Instance =>
    instances.findChild(caller(request), request.params.id);

  app.get("/v1/instances/:id", one, (request) => instances.inspect(childOf(request)));
  app.post("/v1/instances/:id/start", one, async (request) => {
    const child = childOf(request);
    await child.start("started by its parent");
    return child.view();
  });
  app.post("/v1/instances/:id/stop", one, async (request) => {
    const child = childOf(request);
    await instances.stop(child, "stopped by its parent");
    return child.view();
  });
  app.delete("/v1/instances/:id", one, async (request, reply) => {
    await instances.delete(childOf(request));
    return reply.status(204).send();
  });
  app.post("/v1/instances/:id/exec", { schema: { params: Named, body: ExecRequest } }, (request, reply) => {
    const child = childOf(request);
    refuseStopped(child);
    return sendNdjson(reply, (signal) => execLines(child, logs, request.body, signal));
  });
  app.get<{ Params: { id: string }; Querystring: Query }>("/v1/instances/:id/logs", (request, reply) => {
    const child = childOf(request);
    const wanted = logQuery(request.query);
    return sendNdjson(reply, (signal) => logs.read(child.id, wanted, signal));
  });
  app.post("/v1/instances/:id/expose", { schema: { params: Named, body: ExposeRequest } }, (request) =>
    instances.exposeFromInside(childOf(request), request.body),
  );
  app.delete("/v1/instances/:id/expose/:port", { schema: { params: NamedPort } }, async (request, reply) => {
    await childOf(request).endpoints.unexpose(Number(request.params.port));
    return reply.status(204).send();
  });
}
