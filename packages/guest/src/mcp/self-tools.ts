import { ExposeRequest } from "@aegis/protocol/instance";
import { AcquireLease } from "@aegis/protocol/lease";
import type { McpServer } from "@modelcontextprotocol/server";
import Type from "typebox";
import { addTool, type GuestApi } from "./tool.ts";

const Child = Type.Optional(
  Type.String({ minLength: 1, maxLength: 128, description: "id or handle of a child; absent: this instance itself" }),
);

/** What an agent may know of the instance that it is in, and do with it. */
export function addSelfTools(server: McpServer, { client: { instances }, self }: GuestApi): void {
  addTool(
    server,
    {
      name: "self_info",
      description:
        "Who this instance is: id, handle, image, public endpoints, and its capabilities with what is left of each budget. Ask this before instance_spawn.",
      input: Type.Object({}, { additionalProperties: false }),
      readOnly: true,
    },
    () => self.get(),
  );
  addTool(
    server,
    {
      name: "keepalive_acquire",
      description:
        "Keep this instance awake for ttl_ms milliseconds (at most 24 h), also when nobody is connected. Several may be held at once. Answers the lease_id for keepalive_release.",
      input: AcquireLease,
    },
    (request) => self.keepalive(request),
  );
  addTool(
    server,
    {
      name: "keepalive_release",
      description: "Give a keepalive back before its time: the one with lease_id, or the newest.",
      input: Type.Object({ lease_id: Type.Optional(Type.String({ maxLength: 128 })) }, { additionalProperties: false }),
    },
    async ({ lease_id }) => {
      await self.release(lease_id);
      return { released: true };
    },
  );
  addTool(
    server,
    {
      name: "expose_port",
      description:
        "Give a port a public endpoint outside, for this instance or for a child. Answers its url. A connection to it wakes the instance. Asking twice answers the same endpoint.",
      input: Type.Object({ id: Child, ...ExposeRequest.properties }, { additionalProperties: false }),
    },
    ({ id, ...request }) => (id === undefined ? self.expose(request) : instances.expose(id, request)),
  );
  addTool(
    server,
    {
      name: "unexpose_port",
      description: "Take the public endpoint of a port back, of this instance or of a child.",
      input: Type.Object({ id: Child, port: ExposeRequest.properties.port }, { additionalProperties: false }),
    },
    async ({ id, port }) => {
      await (id === undefined ? self.unexpose(port) : instances.unexpose(id, port));
      return { closed: port };
    },
  );
}
