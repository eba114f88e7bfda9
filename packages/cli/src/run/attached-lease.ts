import { AegisError } from "@aegis/protocol/errors";
import type { AegisClient } from "@aegis/sdk/client";

const TTL_MS = 120_000;
const RENEW_MS = 60_000;

/** Keeps an instance awake while somebody is attached to it; gone with us at the latest after its TTL. */
export class AttachedLease {
  readonly #client: AegisClient;
  readonly #id: string;
  #leaseId: string | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(client: AegisClient, id: string) {
    this.#client = client;
    this.#id = id;
  }

  start(): void {
    void this.#renew();
    this.#timer = setInterval(() => void this.#renew(), RENEW_MS);
  }

  async release(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    await this.#drop(this.#leaseId);
  }

  async #renew(): Promise<void> {
    const old = this.#leaseId;
    await passing(async () => {
      const lease = await this.#client.instances.lease(this.#id, { ttl_ms: TTL_MS, reason: "attached to aegis run" });
      this.#leaseId = lease.lease_id;
    });
    if (old !== this.#leaseId) await this.#drop(old);
  }

  async #drop(leaseId: string | null): Promise<void> {
    if (leaseId !== null) await passing(() => this.#client.instances.releaseLease(this.#id, leaseId));
  }
}

/** A lease is a courtesy: an instance that is not up yet, or gone, or a daemon that restarts, is no failure of the run. */
async function passing(call: () => Promise<void>): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof AegisError)) throw error;
  }
}
