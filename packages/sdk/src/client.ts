import type { AegisEvent } from "@aegis/protocol/event";
import type { DaemonStatus } from "@aegis/protocol/status";
import { AuditApi } from "./audit-api.ts";
import { ImagesApi } from "./images-api.ts";
import { InstancesApi } from "./instances-api.ts";
import { ndjson } from "./ndjson.ts";
import { PreviewsApi } from "./previews-api.ts";
import { SecretsApi } from "./secrets-api.ts";
import { UnixHttp } from "./unix-http.ts";
import { WorkspacesApi } from "./workspaces-api.ts";

/** The daemon on one unix socket. Every call throws AegisError with the daemon's own text and code. */
export class AegisClient {
  readonly instances: InstancesApi;
  readonly images: ImagesApi;
  readonly secrets: SecretsApi;
  readonly previews: PreviewsApi;
  readonly files: WorkspacesApi;
  readonly audit: AuditApi;
  readonly #http: UnixHttp;

  /** @param options.absent what to say when nobody listens there */
  constructor(options: { socketPath: string; absent?: string }) {
    this.#http = new UnixHttp(options.socketPath, options.absent);
    this.instances = new InstancesApi(this.#http);
    this.images = new ImagesApi(this.#http);
    this.secrets = new SecretsApi(this.#http);
    this.previews = new PreviewsApi(this.#http);
    this.files = new WorkspacesApi(this.#http);
    this.audit = new AuditApi(this.#http);
  }

  get socketPath(): string {
    return this.#http.socketPath;
  }

  status(signal?: AbortSignal): Promise<DaemonStatus> {
    return this.#http.json({ method: "GET", path: "/v1/status", signal });
  }

  /** Events after `sinceSeq` (from the first on when 0), then new ones until the signal aborts. */
  async *events(query: { sinceSeq?: number; signal?: AbortSignal } = {}): AsyncGenerator<AegisEvent> {
    const { sinceSeq, signal } = query;
    yield* ndjson<AegisEvent>(
      await this.#http.open({ method: "GET", path: "/v1/events", query: { since_seq: sinceSeq }, signal }),
      signal,
    );
  }

  /** Ends the daemon; it answers first and is gone a moment later. */
  async shutdown(options: { stopInstances: boolean }): Promise<void> {
    await this.#http.json({ method: "POST", path: "/v1/shutdown", body: { stop_instances: options.stopInstances } });
  }
}
