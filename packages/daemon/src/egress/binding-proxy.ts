import type http from "node:http";
import type { Duplex } from "node:stream";
import type { Binding, BindingUsage } from "@aegis/protocol/binding";
import { AegisError } from "@aegis/protocol/errors";
import type { Audit } from "../core/audit.ts";
import { instanceActor } from "../core/audit.ts";
import type { BindingBook } from "../core/binding-book.ts";
import { spentBudget } from "../core/binding-budget.ts";
import type { SpentBudget } from "../core/binding-budget.ts";
import { bindingTarget, templateSecrets } from "../core/binding-target.ts";
import type { BindingTarget } from "../core/binding-target.ts";
import type { HeldBinding } from "../core/held-binding.ts";
import type { Secrets } from "../core/secrets.ts";
import { BindingLanes } from "./binding-lanes.ts";
import type { Exchange } from "./exchange.ts";
import { forward } from "./forward.ts";
import { GuestConnections } from "./guest-connections.ts";
import type { BindingCaller, GuestConnection, GuestRequests } from "./guest-connections.ts";
import { headerSecret, requestHeaders } from "./proxied-headers.ts";
import { isDenial, Refused } from "./refused.ts";
import { needsModel, upstreamPath } from "./request-path.ts";
import { SecretUses } from "./secret-uses.ts";
import { sendRefusal } from "./send-answer.ts";
import { isWebSocket, joinWebSocket, refuseSocket } from "./web-socket.ts";

export interface BindingProxyDeps {
  secrets: Pick<Secrets, "reveal">;
  book: Pick<BindingBook, "held" | "usage">;
  audit: Audit;
  /** how long a connection may take to say what it wants */
  waitMs?: number;
}

interface Admitted {
  exchange: Exchange;
  leave: () => void;
}

/**
 * The host's end of bindings: HTTP from inside an instance, sent on to the upstream with the headers that the binding
 * adds. Secrets in those headers never enter the instance; what the instance sends under the same names is replaced.
 */
export class BindingProxy {
  readonly #deps: BindingProxyDeps;
  readonly #connections: GuestConnections;
  readonly #lanes = new BindingLanes();
  readonly #secretUses = new SecretUses();
  readonly #targets = new WeakMap<Binding, BindingTarget>();

  constructor(deps: BindingProxyDeps) {
    this.#deps = deps;
    const requests: GuestRequests = {
      request: (connection, request, response) => this.#serve(connection, request, response),
      upgrade: (connection, request, socket, head) => this.#join(connection, request, socket, head),
      isUpgrade: isWebSocket,
    };
    this.#connections = new GuestConnections(requests, deps.waitMs);
  }

  /** Takes over a stream that a process inside opened on the binding's port. */
  accept(stream: Duplex, caller: BindingCaller, name: string): void {
    this.#connections.accept(stream, caller, name);
  }

  close(): void {
    this.#lanes.close();
  }

  async #serve(
    connection: GuestConnection,
    request: http.IncomingMessage,
    response: http.ServerResponse,
  ): Promise<void> {
    const held = this.#held(connection);
    try {
      const { exchange, leave } = this.#admit(connection, held, request);
      try {
        await forward(exchange, request, response);
      } finally {
        leave();
      }
    } catch (error) {
      const refused = this.#refusal(connection, held, error);
      await sendRefusal(request, response, refused, this.#voice(connection, held));
    }
  }

  async #join(connection: GuestConnection, request: http.IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const held = this.#held(connection);
    try {
      const { exchange, leave } = this.#admit(connection, held, request);
      await joinWebSocket(exchange, socket, head).finally(leave);
    } catch (error) {
      refuseSocket(socket, this.#refusal(connection, held, error), this.#voice(connection, held));
    }
  }

  #held({ caller, name }: GuestConnection): HeldBinding | null {
    return this.#deps.book.held(caller.id, name);
  }

  #target({ binding }: HeldBinding): BindingTarget {
    const known = this.#targets.get(binding) ?? bindingTarget(binding);
    this.#targets.set(binding, known);
    return known;
  }

  #voice({ name }: GuestConnection, held: HeldBinding | null) {
    return { name, dialect: held === null ? ("plain" as const) : this.#target(held).dialect };
  }

  /** @throws Refused */
  #admit(connection: GuestConnection, held: HeldBinding | null, request: http.IncomingMessage): Admitted {
    const { name } = connection;
    if (held === null) throw new Refused("gone", `This instance may not use the binding ${name} any more.`);
    const target = this.#target(held);
    const method = request.method ?? "GET";
    const path = upstreamPath(target, method, request.url ?? "");
    if (isWebSocket(request)) needsModel(target, path);
    checkCoding(request);
    const owner = this.#deps.book.usage.row(held.holders.at(-1) ?? held.holders[0], name);
    const check = (during: boolean) => {
      const spent = spentBudget(owner, target.limits, Date.now(), during);
      if (spent !== null) throw overBudget(name, spent);
    };
    check(false);
    const lane = `${target.upstream.origin} ${owner.instanceId}/${name}`;
    const { agent, leave } = this.#lanes.enter(lane, target.upstream.protocol, target.limits);
    const count = (used: Partial<BindingUsage>) => {
      this.#deps.book.usage.add(held.holders, name, used);
      if (used.request_bytes !== undefined || used.response_bytes !== undefined) check(true);
    };
    try {
      const headers = requestHeaders(request, target, this.#reveal(connection, target));
      count({ requests: 1 });
      return { exchange: { name, target, method, path, headers, agent, count }, leave };
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** Reveals secrets, and tells the audit log when it is the first time, or they are others than before. */
  #reveal({ caller, name }: GuestConnection, target: BindingTarget): (secret: string) => string {
    const used = new Map<string, string>();
    const reveal = (secret: string) => {
      const value = revealed(this.#deps.secrets, secret);
      used.set(secret, value);
      return value;
    };
    Object.values(target.headers).forEach((template) => templateSecrets(template).forEach(reveal));
    if (used.size > 0 && this.#secretUses.isNew(caller, name, [...used.values()]))
      for (const secret of used.keys())
        this.#deps.audit.record({
          actor: instanceActor(caller),
          action: "secret.use",
          target: secret,
          decision: "allowed",
          reason: null,
          detail: `binding ${name}`,
        });
    return reveal;
  }

  #refusal({ caller, name }: GuestConnection, held: HeldBinding | null, error: unknown): Refused {
    const refused =
      error instanceof Refused ? error : new Refused("unreachable", `The binding ${name} failed: ${String(error)}`);
    const { kind } = refused;
    const notSent = isDenial(kind) || kind === "secret";
    this.#deps.book.usage.add(held?.holders ?? [caller.id], name, notSent ? { refused: 1 } : { errors: 1 });
    if (notSent && kind !== "busy")
      this.#deps.audit.record({
        actor: instanceActor(caller),
        action: kind === "secret" ? "secret.use" : "binding.request",
        target: name,
        decision: kind === "secret" ? "failed" : "refused",
        reason: refused.message,
        detail: kind,
      });
    return refused;
  }
}

/** A coding that we do not undo would hide where the body ends. */
function checkCoding({ headers }: http.IncomingMessage): void {
  const coding = headers["transfer-encoding"];
  if (coding === undefined || coding.toLowerCase() === "chunked") return;
  throw new Refused("malformed", "The only transfer encoding that a binding takes is chunked.");
}

function revealed(secrets: Pick<Secrets, "reveal">, name: string): string {
  try {
    return headerSecret(name, secrets.reveal(name));
  } catch (error) {
    if (error instanceof AegisError) throw new Refused("secret", error.message);
    throw error;
  }
}

function overBudget(name: string, { field, limit, resetsInS }: SpentBudget): Refused {
  const what =
    field === "requests"
      ? `${limit} requests`
      : `${limit} bytes of ${field === "request_bytes" ? "requests" : "answers"}`;
  if (resetsInS === null)
    // client libraries of the providers would try again otherwise
    return new Refused("budget", `The budget of the binding ${name} is used up: ${what}.`, {
      "x-should-retry": "false",
    });
  return new Refused(
    "budget",
    `The budget of the binding ${name} is used up: ${what}. There is more in ${resetsInS} s.`,
    {
      "retry-after": String(resetsInS),
    },
  );
}
