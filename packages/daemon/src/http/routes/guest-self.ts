import { once } from "node:events";
import type { FastifyReply } from "fastify";
import Type from "typebox";
import { AegisError } from "@aegis/protocol/errors";
import { ExposeRequest } from "@aegis/protocol/instance";
import { AcquireLease } from "@aegis/protocol/lease";
import type { Instance } from "../../core/instance.ts";
import type { App } from "../app.ts";
import type { CallerOf, GuestApiDeps } from "../guest-api.ts";
import { NamedPort } from "./instance-io.ts";

/** a request without a body has the body null */
const ReleaseKeepalive = Type.Union([
  Type.Object({ lease_id: Type.Optional(Type.String({ maxLength: 128 })) }, { additionalProperties: false }),
  Type.Null(),
]);
const OwnPort = Type.Pick(NamedPort, ["port"]);
/** An instance that restarts itself over and over costs the whole machine. */
const MIN_RESTART_MS = 5000;
/** How long the answer may take to arrive before the restart goes on without it, in ms. */
const ANSWER_MS = 1000;

/** What an instance may know and say of itself. */
export function guestSelfRoutes(app: App, { instances, warn }: GuestApiDeps, caller: CallerOf): void {
  app.get("/v1/self", async (request) => {
    const instance = caller(request);
    const { id, handle, state, image_ref, parent_id, endpoints, ...view } = await instances.inspect(instance);
    const { capabilities, children: children_left, left: tree_left } = instances.rightsOf(instance);
    return {
      id,
      handle,
      state,
      image: image_ref,
      parent_id,
      endpoints,
      memory_mb: view.memory_mb,
      stats: view.stats,
      bindings: view.bindings ?? [],
      capabilities: { ...capabilities, children_left, tree_left },
    };
  });

  app.post("/v1/self/keepalive", { schema: { body: AcquireLease } }, (request) => {
    const { leases, id } = caller(request);
    return leases.acquire(request.body, id);
  });

  app.delete("/v1/self/keepalive", { schema: { body: ReleaseKeepalive } }, (request, reply) => {
    const { leases, id } = caller(request);
    leases.releaseOwn(id, request.body?.lease_id);
    return reply.status(204).send();
  });

  app.post("/v1/self/expose", { schema: { body: ExposeRequest } }, (request) =>
    instances.exposeFromInside(caller(request), request.body),
  );
  app.delete("/v1/self/expose/:port", { schema: { params: OwnPort } }, async (request, reply) => {
    await caller(request).endpoints.unexpose(Number(request.params.port));
    return reply.status(204).send();
  });

  const restartedAt = new WeakMap<Instance, number>();
  app.post("/v1/self/restart", (request, reply) => {
    const instance = caller(request);
    refuseRestartLoop(restartedAt.get(instance));
    restartedAt.set(instance, performance.now());
    const { id, handle } = instance;
    void answered(reply)
      .then(() => instances.restart(instance))
      .catch((error: unknown) => warn(`${handle} could not restart itself: ${String(error)}`));
    return reply.status(202).header("connection", "close").send({ id, handle, state: "restarting" });
  });
}

function refuseRestartLoop(last: number | undefined): void {
  if (last === undefined || performance.now() - last >= MIN_RESTART_MS) return;
  throw new AegisError(
    "quota_exceeded",
    `This instance restarted itself less than ${MIN_RESTART_MS / 1000} s ago. Wait a little before it does so again.`,
  );
}

/** The answer is the last thing that the old boot hears: it goes first, up to the end of its connection. */
async function answered({ raw }: FastifyReply): Promise<void> {
  const { socket } = raw;
  if (socket === null || socket.destroyed) return;
  await once(socket, "close", { signal: AbortSignal.timeout(ANSWER_MS) }).catch(() => undefined);
}
