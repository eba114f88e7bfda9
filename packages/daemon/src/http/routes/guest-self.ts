import Type from "typebox";
import { AcquireLease, ExposeRequest } from "@aegis/protocol/instance";
import type { Instances } from "../../core/instances.ts";
import type { App } from "../app.ts";
import type { CallerOf } from "../guest-api.ts";

const ReleaseKeepalive = Type.Optional(
  Type.Object({ lease_id: Type.Optional(Type.String({ maxLength: 128 })) }, { additionalProperties: false }),
);

/** What an instance may know and say of itself. */
export function guestSelfRoutes(app: App, instances: Instances, caller: CallerOf): void {
  app.get("/v1/self", (request) => {
    const instance = caller(request);
    const { id, handle, state, image_ref, parent_id, endpoints } = instance.view();
    const { grant } = instance.record;
    const left = Math.max((grant.max_children ?? 0) - instances.childrenOf(instance).length, 0);
    return {
      id,
      handle,
      state,
      image: image_ref,
      parent_id,
      endpoints,
      capabilities: { ...grant, children_left: left },
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
}
