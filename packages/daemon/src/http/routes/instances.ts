import Type from "typebox";
import { Capabilities } from "@aegis/protocol/capability";
import { CreateInstance, InstanceState, PauseRequest, UpdateInstance } from "@aegis/protocol/instance";
import type { InstanceView } from "@aegis/protocol/instance";
import { AegisError } from "@aegis/protocol/errors";
import type { Instances } from "../../core/instances.ts";
import { pruneInstances } from "../../core/prune-instances.ts";
import type { App } from "../app.ts";
import { queryText } from "../query.ts";
import type { Query } from "../query.ts";

const Named = Type.Object({ id: Type.String({ maxLength: 128 }) });
/** a POST without a body has the body null */
const MaybePause = Type.Union([PauseRequest, Type.Null()]);
const Prune = Type.Object({ stopped_older_than_s: Type.Integer({ minimum: 0 }) }, { additionalProperties: false });
const PutSecrets = Type.Object(
  { secrets: Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { maxItems: 256 }) },
  { additionalProperties: false },
);

const states: readonly string[] = InstanceState.enum;

export function instanceRoutes(app: App, instances: Instances): void {
  app.post("/v1/instances", { schema: { body: CreateInstance } }, async ({ body }, reply) => {
    const { instance, created } = await instances.create(body);
    const { id, handle, state, command, image_ref, endpoints } = instance.view();
    return reply.status(created ? 201 : 200).send({ id, handle, state, command, image_ref, endpoints });
  });

  app.get<{ Querystring: Query }>("/v1/instances", ({ query }, reply) => {
    const state = queryText(query, "state");
    if (state !== undefined && !states.includes(state)) {
      throw new AegisError("invalid_request", `There is no state ${state}; the states are ${states.join(", ")}.`);
    }
    const parentId = queryText(query, "parent_id");
    const found = instances.list({
      ...(state === undefined ? {} : { state: state as (typeof InstanceState.enum)[number] }),
      ...(parentId === undefined ? {} : { parentId }),
    });
    return reply.send(found.map((instance) => instance.view()));
  });

  app.post("/v1/instances/prune", { schema: { body: Prune } }, async ({ body }) => ({
    deleted: await pruneInstances(instances, body.stopped_older_than_s),
  }));

  const one = { schema: { params: Named } };
  app.get("/v1/instances/:id", one, ({ params }) => instances.inspect(instances.find(params.id)));
  app.delete("/v1/instances/:id", one, async ({ params }, reply) => {
    await instances.delete(instances.find(params.id));
    return reply.status(204).send();
  });
  app.patch("/v1/instances/:id", { schema: { params: Named, body: UpdateInstance } }, ({ params, body }) =>
    instances.find(params.id).update(body),
  );
  app.put("/v1/instances/:id", { schema: { params: Named, body: CreateInstance } }, async ({ params, body }) => {
    const instance = instances.find(params.id);
    await instances.replace(instance, body);
    return instance.view();
  });
  app.post("/v1/instances/:id/pause", { schema: { params: Named, body: MaybePause } }, async ({ params, body }) => {
    const instance = instances.find(params.id);
    await instance.pause(body?.force);
    return instance.view();
  });
  app.post("/v1/instances/:id/hibernate", { schema: { params: Named, body: MaybePause } }, async ({ params, body }) => {
    const instance = instances.find(params.id);
    await instance.hibernate(body?.force);
    return instance.view();
  });
  app.put("/v1/instances/:id/secrets", { schema: { params: Named, body: PutSecrets } }, ({ params, body }) => {
    const instance = instances.find(params.id);
    instances.setSecrets(instance, body.secrets);
    return instance.view();
  });
  capabilityRoutes(app, instances);
  transitionRoutes(app, instances);
}

/** Takes effect at once: what is below the instance can do no more than the new grant from now on. */
function capabilityRoutes(app: App, instances: Instances): void {
  const path = "/v1/instances/:id/capabilities";
  const grant = async (id: string, capabilities: Capabilities): Promise<InstanceView> => {
    const instance = instances.find(id);
    await instances.grant(instance, capabilities);
    return instances.inspect(instance);
  };
  app.put(path, { schema: { params: Named, body: Capabilities } }, ({ params, body }) => grant(params.id, body));
  app.delete(path, { schema: { params: Named } }, ({ params }) => grant(params.id, {}));
}

function transitionRoutes(app: App, instances: Instances): void {
  const transitions = {
    start: (id) => instances.find(id).start("started by request"),
    stop: (id) => instances.stop(instances.find(id)),
    restart: (id) => instances.restart(instances.find(id)),
    disable: (id) => instances.disable(instances.find(id)),
    resume: (id) => instances.find(id).resume(),
  } satisfies Record<string, (id: string) => Promise<void>>;
  for (const [name, transition] of Object.entries(transitions)) {
    app.post(`/v1/instances/:id/${name}`, { schema: { params: Named } }, async ({ params }) => {
      await transition(params.id);
      return instances.find(params.id).view();
    });
  }
}
