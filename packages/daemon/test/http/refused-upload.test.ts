import { once } from "node:events";
import http from "node:http";
import { join } from "node:path";
import { Readable } from "node:stream";
import { json } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { AegisError } from "@aegis/protocol/errors";
import type { Instance } from "../../src/core/instance.ts";
import type { WorkspaceFiles } from "../../src/core/workspace-files.ts";
import { makeApp } from "../../src/http/app.ts";
import { workspaceRoutes } from "../../src/http/routes/workspace.ts";
import { temporaryFolder } from "../temporary-folder.ts";

/** 8 MB: more than lies between the two ends of a socket */
const CHUNKS = 128;
const full = (): AegisError => new AegisError("disk_full", "There is no room left.");

/** When a write fails. */
const failures: Record<string, WorkspaceFiles["write"]> = {
  "before it has read anything": () => Promise.reject(full()),
  "in the middle": async (_workspace, _path, body) => {
    for await (const chunk of body) if (chunk.length > 0) throw full();
    throw new Error("nothing has arrived");
  },
};

/** @returns the socket of an API with no more than the files of one workspace */
async function serve(write: WorkspaceFiles["write"]): Promise<string> {
  const app = makeApp(() => undefined);
  onTestFinished(() => app.close());
  const instance: Pick<Instance, "workspace"> = { workspace: () => "w" };
  workspaceRoutes(app, { write } as WorkspaceFiles, () => instance as Instance);
  const path = join(temporaryFolder(), "api.sock");
  await app.listen({ path });
  return path;
}

describe.each(Object.keys(failures))("an upload whose write fails %s", (when) => {
  const upload = async (connection: string): Promise<http.ClientRequest> => {
    const socketPath = await serve(failures[when] as WorkspaceFiles["write"]);
    const path = "/v1/instances/a/workspace?path=x";
    return http.request({ socketPath, method: "POST", path, agent: false, headers: { connection } });
  };
  const source = () => Readable.from(Array.from({ length: CHUNKS }, () => Buffer.alloc(65_536)));

  it("is taken to its end, and answered, where the connection closes with it", async () => {
    const sent = await upload("close");
    const answered = once(sent, "response") as Promise<[http.IncomingMessage]>;
    await pipeline(source(), sent);
    expect(await told(answered)).toEqual([507, full().toBody()]);
  });

  it("is answered while it is under way, where the connection stays", async () => {
    const sent = await upload("keep-alive");
    const answered = once(sent, "response") as Promise<[http.IncomingMessage]>;
    const given = pipeline(source(), sent).catch(() => undefined);
    expect(await told(answered)).toEqual([507, full().toBody()]);
    sent.destroy();
    await given;
  });
});

async function told(answered: Promise<[http.IncomingMessage]>): Promise<unknown[]> {
  const [answer] = await answered;
  return [answer.statusCode, await json(answer)];
}
