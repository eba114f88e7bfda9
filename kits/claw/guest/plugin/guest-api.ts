import type { ErrorBody, ErrorCode } from "@aegis/protocol/errors";
import type { ExecLine, ExecRequest, LogLine } from "@aegis/protocol/exec";
import type { Endpoint, InstanceView, SpawnInstance } from "@aegis/protocol/instance";
import type { AcquireLease, Lease } from "@aegis/protocol/lease";
import type { GuestSelf } from "@aegis/protocol/guest";
import type { CreatePreview, PreviewView } from "@aegis/protocol/preview";
import type { WorkspaceTree } from "@aegis/protocol/workspace";
import { readNdjson } from "./ndjson.ts";

/** What a refused call says; `message` is meant for people. */
export class GuestApiError extends Error {
  override readonly name = "GuestApiError";
  readonly code: ErrorCode;

  constructor(body: ErrorBody) {
    super(body.error);
    this.code = body.code;
  }
}

export type Spawned = Pick<InstanceView, "id" | "handle" | "state"> & { endpoints: Endpoint[] };

/** The Guest API of the instance that this process runs in. */
export class GuestApi {
  readonly #base: string;

  /** @param base `AEGIS_GUEST_API` */
  constructor(base: string) {
    this.#base = base;
  }

  spawn(body: SpawnInstance): Promise<Spawned> {
    return this.#json("POST", "/v1/instances", body);
  }

  list(): Promise<InstanceView[]> {
    return this.#json("GET", "/v1/instances");
  }

  get(id: string): Promise<InstanceView> {
    return this.#json("GET", `/v1/instances/${encodeURIComponent(id)}`);
  }

  async stop(id: string): Promise<void> {
    await this.#json("POST", `/v1/instances/${encodeURIComponent(id)}/stop`, {});
  }

  async start(id: string): Promise<void> {
    await this.#json("POST", `/v1/instances/${encodeURIComponent(id)}/start`, {});
  }

  async exec(id: string, body: ExecRequest, signal?: AbortSignal): Promise<AsyncGenerator<ExecLine>> {
    const response = await this.#send("POST", `/v1/instances/${encodeURIComponent(id)}/exec`, body, signal);
    return readNdjson(bodyOf(response));
  }

  /** @param since RFC 3339; older lines are left out */
  async logs(
    id: string,
    query: { follow?: boolean; tail?: number; since?: string },
    signal?: AbortSignal,
  ): Promise<AsyncGenerator<LogLine>> {
    const path = `/v1/instances/${encodeURIComponent(id)}/logs?${searchOf(query)}`;
    const response = await this.#send("GET", path, undefined, signal);
    return readNdjson(bodyOf(response));
  }

  /** With its disk and its links; its workspace stays. */
  async delete(id: string): Promise<void> {
    await this.#send("DELETE", `/v1/instances/${encodeURIComponent(id)}`);
  }

  createPreview(id: string, body: CreatePreview): Promise<PreviewView> {
    return this.#json("POST", `/v1/instances/${encodeURIComponent(id)}/previews`, body);
  }

  previews(id: string): Promise<PreviewView[]> {
    return this.#json("GET", `/v1/instances/${encodeURIComponent(id)}/previews`);
  }

  /** @param query `path` is a folder of the workspace */
  files(id: string, query: { path?: string; depth?: number; limit?: number }): Promise<WorkspaceTree> {
    return this.#json("GET", `${filesOf(id)}/tree?${searchOf(query)}`);
  }

  /** The whole file: look at its size before. @param path in the workspace */
  async readFile(id: string, path: string): Promise<Blob> {
    return await (await this.#send("GET", `${filesOf(id)}?${searchOf({ path })}`)).blob();
  }

  /** Makes or replaces the file. @param path in the workspace */
  async writeFile(id: string, path: string, content: Uint8Array): Promise<void> {
    await this.#send("POST", `${filesOf(id)}?${searchOf({ path })}`, content);
  }

  self(): Promise<GuestSelf> {
    return this.#json("GET", "/v1/self");
  }

  /** Each call is a lease of its own. */
  keepAwake(lease: AcquireLease): Promise<Lease> {
    return this.#json("POST", "/v1/self/keepalive", lease);
  }

  async letSleep(leaseId: string): Promise<void> {
    await this.#json("DELETE", "/v1/self/keepalive", { lease_id: leaseId });
  }

  async #json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const text = await (await this.#send(method, path, body)).text();
    return (text === "" ? {} : JSON.parse(text)) as T;
  }

  async #send(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
    const response = await fetch(this.#base + path, {
      method,
      ...contentOf(body),
      ...(signal === undefined ? {} : { signal }),
    });
    if (!response.ok) throw new GuestApiError(await errorBody(response));
    return response;
  }
}

function contentOf(body: unknown): RequestInit {
  if (body === undefined) return {};
  if (body instanceof Uint8Array)
    return { headers: { "content-type": "application/octet-stream" }, body: Buffer.from(body) };
  return { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

const filesOf = (id: string): string => `/v1/instances/${encodeURIComponent(id)}/workspace`;

const searchOf = (query: Record<string, string | number | boolean>): string =>
  new URLSearchParams(Object.entries(query).map(([key, value]): [string, string] => [key, String(value)])).toString();

async function errorBody(response: Response): Promise<ErrorBody> {
  const text = await response.text();
  try {
    return JSON.parse(text) as ErrorBody;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { error: `the Guest API answered ${response.status}: ${text.slice(0, 200)}`, code: "internal" };
  }
}

function bodyOf(response: Response): ReadableStream<Uint8Array> {
  if (response.body === null) throw new Error("the Guest API sent no body where a stream was expected");
  return response.body;
}
