import type http from "node:http";
import Type from "typebox";
import { CreatePreview, PutPublicUrl } from "@aegis/protocol/preview";
import type { Instance } from "../../core/instance.ts";
import type { Previews } from "../../core/previews.ts";
import type { App } from "../app.ts";

const Named = Type.Object({
  /** absent where the path means the caller itself */
  id: Type.Optional(Type.String({ maxLength: 128 })),
  preview: Type.Optional(Type.String({ maxLength: 128 })),
});
/** a POST without a body has the body null */
const MaybeCreate = Type.Union([CreatePreview, Type.Null()]);

/** Where the router is reached from outside. */
export interface PublicAddress {
  get(): string | null;
  /** @throws AegisError `invalid_request` */
  set(url: string | null): void;
}

interface OwnerRequest {
  raw: http.IncomingMessage;
  params: { id?: string };
}

/**
 * Links to the sites of instances.
 * @param base path of the instance whose links they are
 * @param find that instance, if the caller may see it
 */
export function previewRoutes(
  app: App,
  previews: Previews,
  base: "/v1/instances/:id" | "/v1/self",
  find: (request: OwnerRequest) => Instance,
): void {
  const named = { params: Named };
  app.post(`${base}/previews`, { schema: { ...named, body: MaybeCreate } }, async (request, reply) =>
    reply.status(201).send(await previews.create(find(request), request.body ?? {})),
  );
  app.get(`${base}/previews`, { schema: named }, (request) => previews.list(find(request)));
  app.delete(`${base}/previews/:preview`, { schema: named }, (request, reply) => {
    previews.remove(find(request), request.params.preview ?? "");
    return reply.status(204).send();
  });
}

/** Host API only. */
export function publicUrlRoutes(app: App, address: PublicAddress): void {
  app.get("/v1/public-url", () => ({ url: address.get() }));
  app.put("/v1/public-url", { schema: { body: PutPublicUrl } }, ({ body }) => {
    address.set(body.url);
    return { url: address.get() };
  });
}
