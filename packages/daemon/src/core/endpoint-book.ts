import type { Endpoint, ExposeRequest } from "@aegis/protocol/instance";
import { AegisError } from "@aegis/protocol/errors";
import type { EventLog } from "./event-log.ts";
import type { Ingress } from "./ingress.ts";
import type { EndpointRecord } from "./instance-record.ts";
import { SerialQueue } from "./serial-queue.ts";
import type { Store } from "./store.ts";

export interface EndpointBookDeps {
  store: Pick<Store, "insertEndpoint" | "deleteEndpoint">;
  events: EventLog;
  ingress: Ingress;
  warn: (message: string) => void;
}

const toView = ({ guestPort, publicPort, protocol }: EndpointRecord): Endpoint => ({
  guest_port: guestPort,
  public_port: publicPort,
  protocol,
  url: `${protocol}://127.0.0.1:${publicPort}`,
});

/** The public ports of one instance. */
export class EndpointBook {
  readonly #instanceId: string;
  readonly #deps: EndpointBookDeps;
  readonly #records: Map<number, EndpointRecord>;
  readonly #queue = new SerialQueue();
  #closed = false;

  constructor(instanceId: string, records: EndpointRecord[], deps: EndpointBookDeps) {
    this.#instanceId = instanceId;
    this.#deps = deps;
    this.#records = new Map(records.map((record) => [record.guestPort, record]));
  }

  list(): Endpoint[] {
    return [...this.#records.values()].map(toView);
  }

  /**
   * Opens a port, or says where it is open already.
   * @param check is told how many ports there would be, and throws when that is too many
   * @throws AegisError `port_taken`
   */
  expose(request: ExposeRequest, check: (ports: number) => void = () => undefined): Promise<Endpoint> {
    return this.#queue.run(async () => {
      if (this.#closed) throw new AegisError("instance_deleted", `${this.#instanceId} was deleted.`);
      const known = this.#records.get(request.port);
      if (known !== undefined) return this.#confirm(known, request);
      check(this.#records.size + 1);
      return toView(await this.#open(request));
    });
  }

  /** @throws AegisError `endpoint_not_found` */
  unexpose(guestPort: number): Promise<void> {
    return this.#queue.run(async () => {
      const record = this.#records.get(guestPort);
      if (record === undefined) {
        throw new AegisError("endpoint_not_found", `Port ${guestPort} is not exposed, so there is nothing to close.`);
      }
      await this.#close(record);
    });
  }

  /** Closes every port for good. */
  close(): Promise<void> {
    return this.#queue.run(async () => {
      this.#closed = true;
      for (const record of this.#records.values()) await this.#close(record);
    });
  }

  /** After a daemon restart: listens again on every port. A port that somebody else took meanwhile is a warning. */
  async reopen(): Promise<void> {
    await this.#queue.run(() => Promise.all([...this.#records.values()].map((record) => this.#reopen(record))));
  }

  async #reopen(record: EndpointRecord): Promise<void> {
    try {
      await this.#deps.ingress.open(this.#instanceId, record);
    } catch (error) {
      const port = `public port ${record.publicPort} of ${this.#instanceId}`;
      this.#deps.warn(`${port} could not be opened again: ${String(error)}`);
    }
  }

  async #open(request: ExposeRequest): Promise<EndpointRecord> {
    const wanted = {
      guestPort: request.port,
      protocol: request.protocol ?? "http",
      publicPort: request.public_port ?? null,
    };
    const publicPort = await this.#deps.ingress.open(this.#instanceId, wanted);
    const record = { ...wanted, publicPort };
    try {
      this.#deps.store.insertEndpoint(this.#instanceId, record);
    } catch (error) {
      await this.#deps.ingress.close(publicPort);
      throw error;
    }
    this.#records.set(request.port, record);
    this.#emit("endpoint.opened", record);
    return record;
  }

  async #close(record: EndpointRecord): Promise<void> {
    this.#records.delete(record.guestPort);
    this.#deps.store.deleteEndpoint(this.#instanceId, record.guestPort);
    await this.#deps.ingress.close(record.publicPort);
    this.#emit("endpoint.closed", record);
  }

  #confirm(known: EndpointRecord, request: ExposeRequest): Endpoint {
    if (request.public_port !== undefined && request.public_port !== known.publicPort) {
      throw new AegisError(
        "port_taken",
        `Port ${known.guestPort} is exposed as ${known.publicPort} already. Unexpose it first to move it to ${request.public_port}.`,
      );
    }
    return toView(known);
  }

  #emit(type: "endpoint.opened" | "endpoint.closed", { guestPort, publicPort }: EndpointRecord): void {
    this.#deps.events.emit({ type, instance_id: this.#instanceId, guest_port: guestPort, public_port: publicPort });
  }
}
