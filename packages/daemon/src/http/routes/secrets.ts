import Type from "typebox";
import { PutSecret } from "@aegis/protocol/secret";
import type { KeyRotated } from "@aegis/protocol/secret";
import type { Secrets } from "../../core/secrets.ts";
import { AegisError } from "@aegis/protocol/errors";
import type { App } from "../app.ts";

const Named = Type.Object({ name: Type.String({ maxLength: 128 }) });

/** Values go in and never come out. */
export function secretRoutes(app: App, secrets: Secrets, rotateKey: () => Promise<KeyRotated>): void {
  app.post("/v1/secrets/rotate-key", () => rotateKey());
  app.get("/v1/secrets", () => secrets.names().map((name) => ({ name })));
  app.get("/v1/secrets/:name", { schema: { params: Named } }, ({ params }) => {
    if (!secrets.names().includes(params.name)) {
      throw new AegisError(
        "secret_not_found",
        `There is no secret ${params.name}. Set it with: aegis secret set ${params.name}`,
      );
    }
    return { name: params.name };
  });
  app.put("/v1/secrets/:name", { schema: { params: Named, body: PutSecret } }, ({ params, body }) => {
    secrets.put(params.name, body.value);
    return { name: params.name };
  });
  app.delete("/v1/secrets/:name", { schema: { params: Named } }, ({ params }, reply) => {
    secrets.delete(params.name);
    return reply.status(204).send();
  });
}
