import type http from "node:http";
import type { Duplex } from "node:stream";
import type { EventLog } from "../core/event-log.ts";
import type { Instance } from "../core/instance.ts";
import type { Instances } from "../core/instances.ts";
import type { Previews } from "../core/previews.ts";
import type { Logs } from "../core/logs.ts";
import type { WorkspaceFiles } from "../core/workspace-files.ts";
import { AegisError } from "@aegis/protocol/errors";
import { instanceActor } from "../core/audit.ts";
import type { Audit } from "../core/audit.ts";
import { makeApp } from "./app.ts";
import { auditCalls } from "./audit-calls.ts";
import { auditExecs } from "./audit-execs.ts";
import type { App } from "./app.ts";
import { EXEC_UPGRADE, ExecSocket } from "./exec-socket.ts";
import { GuestConnections } from "./guest-connections.ts";
import { describeApi } from "./openapi/describe-api.ts";
import { guestChildRoutes } from "./routes/guest-children.ts";
import { guestSelfRoutes } from "./routes/guest-self.ts";
import { previewRoutes } from "./routes/previews.ts";
import { workspaceRoutes } from "./routes/workspace.ts";

/** Whose request it is: decided by the channel it came through, by nothing that it says. */
export type CallerOf = (request: { raw: http.IncomingMessage }) => Instance;

export interface GuestApiDeps {
  instances: Instances;
  logs: Logs;
  events: EventLog;
  audit: Audit;
  files: WorkspaceFiles;
  previews: Previews;
  warn: (message: string) => void;
}

/** The Guest API. It listens nowhere: its connections are streams that harnesses opened. */
export class GuestApi {
  readonly #app: App;
  readonly #connections = new GuestConnections();
  readonly #execSocket: ExecSocket;

  constructor(deps: GuestApiDeps) {
    this.#app = makeApp(deps.warn, GUEST_LIMITS);
    const caller: CallerOf = ({ raw }) => this.#callerOf(raw);
    this.#holdWhileServing(caller);
    auditCalls(this.#app, {
      audit: deps.audit,
      actor: (request) => instanceActor(caller(request)),
      idOf: (name) => deps.instances.peek(name)?.id ?? name,
      warn: deps.warn,
    });
    describeApi(this.#app, "Aegis Guest API", [EXEC_UPGRADE], deps.warn);
    guestSelfRoutes(this.#app, deps, caller);
    guestChildRoutes(this.#app, deps, caller);
    workspaceRoutes(this.#app, deps.files, (request, name) => deps.instances.findChild(caller(request), name));
    previewRoutes(this.#app, deps.previews, "/v1/self", caller);
    previewRoutes(this.#app, deps.previews, "/v1/instances/:id", (request) =>
      deps.instances.findChild(caller(request), request.params.id ?? ""),
    );
    this.#execSocket = new ExecSocket(
      (request, name) => deps.instances.findChild(this.#callerOf(request), name),
      auditExecs(deps.audit, (request) => instanceActor(this.#callerOf(request))),
    );
  }

  async ready(): Promise<void> {
    await this.#app.ready();
    this.#execSocket.attach(this.#app.server);
    // Node begins to watch how long headers and bodies take when a server listens, and this one never does
    this.#app.server.emit("listening");
  }

  accept(stream: Duplex, instance: Instance): void {
    stream.on("error", () => stream.destroy());
    if (!this.#connections.add(stream, instance)) return;
    this.#app.server.emit("connection", stream);
    // the server reads the socket's handle by itself: what was read ahead would wait for ever
    stream.resume();
  }

  #callerOf(request: http.IncomingMessage): Instance {
    const instance = this.#connections.callerOf(request.socket);
    if (instance === null) throw new AegisError("unauthorized", "This connection did not come from an instance.");
    return instance;
  }

  /** An instance is not idle while it waits for an answer. */
  #holdWhileServing(caller: CallerOf): void {
    this.#app.addHook("onRequest", (request, reply, done) => {
      reply.raw.once("close", caller(request).connections.hold());
      done();
    });
    this.#app.server.on("upgrade", (request: http.IncomingMessage) => {
      request.socket.once("close", this.#callerOf(request).connections.hold());
    });
  }
}

/** What a request may take until it is complete; answers may take as long as they like. */
const GUEST_LIMITS = { headersTimeoutMs: 10_000, requestTimeoutMs: 600_000 };
