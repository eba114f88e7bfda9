import type { Capabilities } from "@aegis/protocol/capability";
import { AegisError } from "@aegis/protocol/errors";
import type { ExecLine, ExecRequest, LogLine } from "@aegis/protocol/exec";
import type {
  CreateInstance,
  Endpoint,
  ExposeRequest,
  InstanceState,
  InstanceView,
  PauseRequest,
  SpawnInstance,
  UpdateInstance,
} from "@aegis/protocol/instance";
import type { AcquireLease, Lease } from "@aegis/protocol/lease";
import { openExecSession, type ExecSession, type ExecSessionRequest } from "./exec-session.ts";
import { ndjson } from "./ndjson.ts";
import type { HttpCall, UnixHttp } from "./unix-http.ts";

/** The answer to a create: boot goes on behind it. */
export interface CreatedInstance {
  id: string;
  handle: string;
  state: InstanceState;
  command: string[];
  image_ref: string;
  endpoints: Endpoint[];
}

/** The answer of the Guest API to a spawn. */
export interface SpawnedInstance extends Pick<CreatedInstance, "id" | "handle" | "state" | "endpoints"> {
  parent_id: string;
}

export interface LogsQuery {
  follow?: boolean;
  tail?: number;
  /** RFC 3339; lines at or after it */
  since?: string;
  signal?: AbortSignal;
}

/** An exec as it goes on. One that fails to start or breaks throws instead. */
export type ExecStep = Exclude<ExecLine, { error: string }>;

/** Everything below `/v1/instances`. An instance is named by id or handle. */
export class InstancesApi {
  readonly #http: UnixHttp;

  constructor(http: UnixHttp) {
    this.#http = http;
  }

  create(spec: CreateInstance): Promise<CreatedInstance> {
    return this.#http.json({ method: "POST", path: "/v1/instances", body: spec });
  }

  /** Creates a child of the instance that this runs in: on the Guest API only. */
  spawn(spec: SpawnInstance): Promise<SpawnedInstance> {
    return this.#http.json({ method: "POST", path: "/v1/instances", body: spec });
  }

  list(filter: { state?: InstanceState; parentId?: string } = {}): Promise<InstanceView[]> {
    const query = { state: filter.state, parent_id: filter.parentId };
    return this.#http.json({ method: "GET", path: "/v1/instances", query });
  }

  get(id: string, signal?: AbortSignal): Promise<InstanceView> {
    return this.#http.json({ method: "GET", path: pathOf(id), signal });
  }

  /** Stops it and gives it another spec; id, children, workspace and ports are kept. It is left stopped. */
  replace(id: string, spec: CreateInstance): Promise<InstanceView> {
    return this.#http.json({ method: "PUT", path: pathOf(id), body: spec });
  }

  /** Puts another grant in the place of its own, at once. What runs below and is not covered any more is stopped. */
  grant(id: string, capabilities: Capabilities): Promise<InstanceView> {
    return this.#http.json({ method: "PUT", path: pathOf(id, "capabilities"), body: capabilities });
  }

  /** Takes every capability away, and with it everything that runs below. */
  revoke(id: string): Promise<InstanceView> {
    return this.#http.json({ method: "DELETE", path: pathOf(id, "capabilities") });
  }

  start(id: string): Promise<void> {
    return this.#post(id, "start");
  }

  stop(id: string): Promise<void> {
    return this.#post(id, "stop");
  }

  restart(id: string): Promise<void> {
    return this.#post(id, "restart");
  }

  disable(id: string): Promise<void> {
    return this.#post(id, "disable");
  }

  /** From running or paused to disk. @param force without asking the workload, when it has a pause hook */
  async hibernate(id: string, { force = false }: PauseRequest = {}): Promise<void> {
    if (!force) return this.#post(id, "hibernate");
    await this.#http.json({ method: "POST", path: pathOf(id, "hibernate"), body: { force } });
  }

  /** @param force without asking the workload, when it has a pause hook */
  async pause(id: string, { force = false }: PauseRequest = {}): Promise<void> {
    if (!force) return this.#post(id, "pause");
    await this.#http.json({ method: "POST", path: pathOf(id, "pause"), body: { force } });
  }

  /** Changes how it sleeps and starts again; what is left out stays. Takes effect at once. */
  update(id: string, changes: UpdateInstance): Promise<InstanceView> {
    return this.#http.json({ method: "PATCH", path: pathOf(id), body: changes });
  }

  resume(id: string): Promise<void> {
    return this.#post(id, "resume");
  }

  async delete(id: string): Promise<void> {
    await this.#http.json({ method: "DELETE", path: pathOf(id) });
  }

  /** Deletes instances that have been stopped for longer. @returns what was deleted */
  async prune(stoppedOlderThanSeconds: number): Promise<string[]> {
    const body = { stopped_older_than_s: Math.floor(stoppedOlderThanSeconds) };
    const answer = await this.#http.json<{ deleted: string[] }>({ method: "POST", path: "/v1/instances/prune", body });
    return answer.deleted;
  }

  /** Runs a command and yields its output by line. Leaving the loop early ends the command. */
  async *exec(id: string, request: ExecRequest, signal?: AbortSignal): AsyncGenerator<ExecStep> {
    const call: HttpCall = { method: "POST", path: pathOf(id, "exec"), body: request, signal };
    for await (const line of ndjson<ExecStep>(await this.#http.open(call), signal)) {
      yield line;
      if ("done" in line) return;
    }
    throw new AegisError(
      "guest_unreachable",
      `the command in ${id} was cut off before it ended: see \`aegis logs ${id}\``,
    );
  }

  /** Runs a command with input, signals, a terminal if asked for, and raw bytes. */
  execInteractive(id: string, request: ExecSessionRequest): Promise<ExecSession> {
    return openExecSession(this.#http, pathOf(id, "exec"), request);
  }

  async *logs(id: string, query: LogsQuery = {}): AsyncGenerator<LogLine> {
    const { follow, tail, since, signal } = query;
    yield* ndjson<LogLine>(
      await this.#http.open({ method: "GET", path: pathOf(id, "logs"), query: { follow, tail, since }, signal }),
      signal,
    );
  }

  expose(id: string, request: ExposeRequest): Promise<Endpoint> {
    return this.#http.json({ method: "POST", path: pathOf(id, "expose"), body: request });
  }

  async unexpose(id: string, guestPort: number): Promise<void> {
    await this.#http.json({ method: "DELETE", path: `${pathOf(id, "expose")}/${guestPort}` });
  }

  lease(id: string, request: AcquireLease): Promise<Lease> {
    return this.#http.json({ method: "POST", path: pathOf(id, "lease"), body: request });
  }

  async releaseLease(id: string, leaseId: string): Promise<void> {
    await this.#http.json({ method: "DELETE", path: `${pathOf(id, "lease")}/${encodeURIComponent(leaseId)}` });
  }

  /** Which secrets the instance gets from its next start on; names only. */
  async putSecrets(id: string, secrets: string[]): Promise<void> {
    await this.#http.json({ method: "PUT", path: pathOf(id, "secrets"), body: { secrets } });
  }

  async #post(id: string, verb: string): Promise<void> {
    await this.#http.json({ method: "POST", path: pathOf(id, verb) });
  }
}

const pathOf = (id: string, verb?: string) =>
  `/v1/instances/${encodeURIComponent(id)}${verb === undefined ? "" : `/${verb}`}`;
