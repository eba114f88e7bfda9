import type http from "node:http";
import type { Duplex } from "node:stream";
import type { Instance } from "../core/instance.ts";
import type { Instances } from "../core/instances.ts";
import type { Logs } from "../core/logs.ts";
import { AegisError } from "@aegis/protocol/errors";
import { instanceActor } from "../core/audit.ts";
import type { Audit } from "../core/audit.ts";
import { makeApp } from "./app.ts";
import { auditCalls } from "./audit-calls.ts";
import type { App } from "./app.ts";
import { guestChildRoutes } from "./routes/guest-children.ts";
import { guestSelfRoutes } from "./routes/guest-self.ts";

/** Whose request it is: decided by the channel it came through, by nothing that it says. */
export type CallerOf = (request: { raw: http.IncomingMessage }) => Instance;

/** The Guest API. It listens nowhere: its connections are streams that harnesses opened. */
export class GuestApi {
  readonly #app: App;
  readonly #callers = new WeakMap<object, Instance>();

  constructor(instances: Instances, logs: Logs, audit: Audit, warn: (message: string) => void) {
    this.#app = makeApp(warn);
    const caller: CallerOf = ({ raw }) => {
      const instance = this.#callers.get(raw.socket);
      if (instance === undefined)
        throw new AegisError("unauthorized", "This connection did not come from an instance.");
      return instance;
    };
    this.#holdWhileServing(caller);
    auditCalls(this.#app, {
      audit,
      actor: (request) => instanceActor(caller(request)),
      idOf: (name) => instances.peek(name)?.id ?? name,
      warn,
    });
    guestSelfRoutes(this.#app, instances, caller);
    guestChildRoutes(this.#app, instances, logs, caller);
  }

  async ready(): Promise<void> {
    await this.#app.ready();
  }

  accept(stream: Duplex, instance: Instance): void {
    stream.on("error", () => stream.destroy());
    this.#callers.set(stream, instance);
    this.#app.server.emit("connection", stream);
    // the server reads the socket's handle by itself: what was read ahead would wait for ever
    stream.resume();
  }

  /** An instance is not idle while it waits for an answer. */
  #holdWhileServing(caller: CallerOf): void {
    this.#app.addHook("onRequest", (request, reply, done) => {
      reply.raw.once("close", caller(request).hold());
      done();
    });
  }
}
