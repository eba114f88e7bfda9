import Type from "typebox";
import type { DaemonStatus } from "@aegis/protocol/status";
import type { KitView } from "@aegis/protocol/kit";
import type { EventLog } from "../../core/event-log.ts";
import type { App } from "../app.ts";
import { sendNdjson } from "../ndjson.ts";
import { queryCount, queryFlag } from "../query.ts";
import type { Query } from "../query.ts";

const Shutdown = Type.Object({ stop_instances: Type.Optional(Type.Boolean()) }, { additionalProperties: false });

export interface DaemonControl {
  status(): DaemonStatus;
  kits(): KitView[];
  /** begins to end the daemon; instances go on running unless they are to stop */
  shutdown(stopInstances: boolean): void;
}

export function daemonRoutes(app: App, daemon: DaemonControl, events: EventLog): void {
  app.get("/v1/status", () => daemon.status());
  app.get("/v1/kits", () => daemon.kits());
  app.get<{ Querystring: Query }>("/v1/events", ({ query }, reply) => {
    const since = queryCount(query, "since_seq") ?? 0;
    const live = queryFlag(query, "follow", true);
    return sendNdjson(reply, (signal) => events.follow(since, signal, live));
  });
  app.post("/v1/shutdown", { schema: { body: Shutdown } }, ({ body }, reply) => {
    reply.raw.once("finish", () => daemon.shutdown(body.stop_instances ?? false));
    return reply.status(202).send({ status: "stopping" });
  });
}
