import type { Readable } from "node:stream";
import type { WorkspaceTree, WorkspaceWritten } from "@aegis/protocol/workspace";
import type { UnixHttp } from "./unix-http.ts";

/** Files of an instance's workspace, whatever its state. Paths are relative to the workspace. */
export class WorkspacesApi {
  readonly #http: UnixHttp;

  constructor(http: UnixHttp) {
    this.#http = http;
  }

  tree(id: string, query: { path?: string; depth?: number; limit?: number } = {}): Promise<WorkspaceTree> {
    return this.#http.json({ method: "GET", path: `${pathOf(id)}/tree`, query });
  }

  read(id: string, path: string, signal?: AbortSignal): Promise<Readable> {
    return this.#http.open({ method: "GET", path: pathOf(id), query: { path }, signal });
  }

  /** Makes or replaces the file as a whole, and the folders above it. @param mode permission bits, as in 0o755 */
  write(id: string, path: string, upload: Readable, mode?: number): Promise<WorkspaceWritten> {
    return this.#http.json({ method: "POST", path: pathOf(id), query: { path, mode: mode?.toString(8) }, upload });
  }

  async delete(id: string, path: string): Promise<void> {
    await this.#http.json({ method: "DELETE", path: pathOf(id), query: { path } });
  }
}

const pathOf = (id: string): string => `/v1/instances/${encodeURIComponent(id)}/workspace`;
