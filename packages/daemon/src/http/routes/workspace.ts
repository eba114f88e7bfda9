import { Readable } from "node:stream";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyRequest } from "fastify";
import Type from "typebox";
import { AegisError } from "@aegis/protocol/errors";
import { MAX_TREE_DEPTH, MAX_TREE_ENTRIES, MAX_WORKSPACE_FILE_BYTES } from "@aegis/protocol/workspace";
import type { Instance } from "../../core/instance.ts";
import type { WorkspaceFiles } from "../../core/workspace-files.ts";
import type { App } from "../app.ts";
import { queryCount, queryText } from "../query.ts";
import type { Query } from "../query.ts";

const Named = Type.Object({ id: Type.String({ maxLength: 128 }) });
const DEFAULT_TREE_ENTRIES = 1000;
const DEFAULT_TREE_DEPTH = 8;

/** The instance that the caller may reach under a name; throws AegisError. */
type Find = (request: FastifyRequest, idOrHandle: string) => Instance;

/** Files of an instance's workspace, whatever the state of the instance. */
export function workspaceRoutes(app: App, files: WorkspaceFiles, find: Find): void {
  const one = { schema: { params: Named } };
  const path = "/v1/instances/:id/workspace";
  // what is uploaded is bytes, also when it is called JSON
  void app.register(async (plain) => {
    const scope = plain.withTypeProvider<TypeBoxTypeProvider>();
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser("*", (_request, body, done) => done(null, body));

    scope.get(`${path}/tree`, one, (request, reply) => {
      const query = request.query as Query;
      return files.tree(workspaceOf(find(request, request.params.id)), treeQuery(query), goneSignal(reply.raw));
    });
    scope.get(path, one, async (request, reply) => {
      const workspace = workspaceOf(find(request, request.params.id));
      const { size, modifiedAt, body } = await files.read(workspace, pathOf(request.query as Query));
      return reply
        .type("application/octet-stream")
        .headers({ "content-length": size, "last-modified": modifiedAt.toUTCString() })
        .headers({ "cache-control": "no-store", "x-content-type-options": "nosniff" })
        .send(body);
    });
    scope.post(path, { ...one, bodyLimit: MAX_WORKSPACE_FILE_BYTES }, (request) => {
      const query = request.query as Query;
      const workspace = workspaceOf(find(request, request.params.id));
      const body = request.body instanceof Readable ? request.body : Readable.from([]);
      // who stops reading in the middle still has an answer to give on that connection
      return files.write(workspace, pathOf(query), body.iterator({ destroyOnReturn: false }), modeOf(query));
    });
    scope.delete(path, one, async (request, reply) => {
      await files.remove(workspaceOf(find(request, request.params.id)), pathOf(request.query as Query));
      return reply.status(204).send();
    });
  });
}

function workspaceOf(instance: Instance): string {
  const workspace = instance.workspace();
  if (workspace !== null) return workspace;
  throw new AegisError(
    "file_not_found",
    `${instance.handle} has no workspace. Create it with one: "workspace": "a-name".`,
  );
}

function pathOf(query: Query): string {
  const path = queryText(query, "path");
  if (path !== undefined && path !== "") return path;
  throw new AegisError(
    "invalid_path",
    "The parameter path is missing: ?path=folder/file names a file of the workspace.",
  );
}

function modeOf(query: Query): number | undefined {
  const mode = queryText(query, "mode");
  if (mode === undefined) return undefined;
  if (/^0?[0-7]{3}$/.test(mode)) return Number.parseInt(mode, 8);
  throw new AegisError(
    "invalid_request",
    `The parameter mode must be permission bits like 644, not ${JSON.stringify(mode)}.`,
  );
}

function treeQuery(query: Query) {
  return {
    path: queryText(query, "path") ?? "",
    depth: within(queryCount(query, "depth") ?? DEFAULT_TREE_DEPTH, MAX_TREE_DEPTH),
    limit: within(queryCount(query, "limit") ?? DEFAULT_TREE_ENTRIES, MAX_TREE_ENTRIES),
  };
}

const within = (count: number, most: number): number => Math.max(1, Math.min(count, most));

function goneSignal(answer: { once: (event: "close", gone: () => void) => unknown }): AbortSignal {
  const gone = new AbortController();
  answer.once("close", () => gone.abort());
  return gone.signal;
}
