import type { Endpoint, ExposeRequest } from "@aegis/protocol/instance";
import type { AcquireLease, Lease } from "@aegis/protocol/lease";
import type { GuestSelf } from "@aegis/protocol/guest";
import { UnixHttp } from "./unix-http.ts";

/** What an instance may know and say of itself: `/v1/self` of the Guest API, from inside. */
export class SelfApi {
  readonly #http: UnixHttp;

  constructor(options: { socketPath: string; absent?: string }) {
    this.#http = new UnixHttp(options.socketPath, options.absent);
  }

  get(): Promise<GuestSelf> {
    return this.#http.json({ method: "GET", path: "/v1/self" });
  }

  keepalive(request: AcquireLease): Promise<Lease> {
    return this.#http.json({ method: "POST", path: "/v1/self/keepalive", body: request });
  }

  /** @param leaseId absent: the newest one */
  async release(leaseId?: string): Promise<void> {
    const body = leaseId === undefined ? {} : { lease_id: leaseId };
    await this.#http.json({ method: "DELETE", path: "/v1/self/keepalive", body });
  }

  expose(request: ExposeRequest): Promise<Endpoint> {
    return this.#http.json({ method: "POST", path: "/v1/self/expose", body: request });
  }

  async unexpose(guestPort: number): Promise<void> {
    await this.#http.json({ method: "DELETE", path: `/v1/self/expose/${guestPort}` });
  }

  /** Answers before it begins. */
  async restart(): Promise<void> {
    await this.#http.json({ method: "POST", path: "/v1/self/restart" });
  }
}
