import { ExecRequest } from "@aegis/protocol/exec";
import { SpawnInstance } from "@aegis/protocol/instance";
import type { InstancesApi } from "@aegis/sdk/instances-api";
import type { McpServer } from "@modelcontextprotocol/server";
import Type from "typebox";
import { runToEnd } from "./run-to-end.ts";
import { addTool, type GuestApi } from "./tool.ts";

const Id = Type.String({ minLength: 1, maxLength: 128, description: "id or handle of a child of this instance" });
const Named = Type.Object({ id: Id }, { additionalProperties: false });
const DEFAULT_LOG_LINES = 200;

/** What an agent may do with the children of its instance. */
export function addInstanceTools(server: McpServer, { client: { instances } }: GuestApi): void {
  addLifeTools(server, instances);
  addInsideTools(server, instances);
}

function addLifeTools(server: McpServer, instances: InstancesApi): void {
  addTool(
    server,
    {
      name: "instance_spawn",
      description:
        "Create a child instance, an isolated machine of its own, and start `command` in it. Answers at once with its id while it boots: instance_info tells when it is running. What you may ask for is in self_info under capabilities. A child ends together with this instance.",
      input: SpawnInstance,
    },
    (body) => instances.spawn(body),
  );
  addTool(
    server,
    {
      name: "instance_list",
      description: "All children of this instance with their state, size and public endpoints.",
      input: Type.Object({}, { additionalProperties: false }),
      readOnly: true,
    },
    () => instances.list(),
  );
  addTool(
    server,
    {
      name: "instance_info",
      description: "Everything about one child: state, exit code, reason of a failure, endpoints, use of resources.",
      input: Named,
      readOnly: true,
    },
    ({ id }) => instances.get(id),
  );
  addTool(
    server,
    {
      name: "instance_stop",
      description: "Stop a child. Its disk and its endpoints stay; a connection to an endpoint starts it again.",
      input: Named,
    },
    async ({ id }) => {
      await instances.stop(id);
      return instances.get(id);
    },
  );
}

function addInsideTools(server: McpServer, instances: InstancesApi): void {
  addTool(
    server,
    {
      name: "instance_exec",
      description:
        'Run a command in a child and wait for its end. `command` is a list of words without a shell: ["sh", "-c", "ls | wc -l"] for shell syntax. Answers exit_code, stdout and stderr; long output is cut in the middle. Wakes a paused child; a stopped one has to be started first.',
      input: Type.Object(
        {
          id: Id,
          ...Type.Omit(ExecRequest, ["tty"]).properties,
          timeout_s: Type.Optional(
            Type.Number({ minimum: 1, maximum: 86_400, description: "end the command after so long; default 600" }),
          ),
        },
        { additionalProperties: false },
      ),
    },
    ({ id, timeout_s, ...request }, signal) => runToEnd(instances, id, request, { timeoutS: timeout_s, signal }),
  );
  addTool(
    server,
    {
      name: "instance_logs",
      description: "The last lines that a child has printed, its execs included, oldest first.",
      input: Type.Object(
        {
          id: Id,
          tail: Type.Optional(Type.Integer({ minimum: 1, maximum: 2000, description: "how many; default 200" })),
          since: Type.Optional(Type.String({ description: "only lines from then on, as in 2026-01-31T12:00:00Z" })),
        },
        { additionalProperties: false },
      ),
      readOnly: true,
    },
    ({ id, tail = DEFAULT_LOG_LINES, since }) =>
      Array.fromAsync(instances.logs(id, { tail, ...(since !== undefined && { since }) })),
  );
}
