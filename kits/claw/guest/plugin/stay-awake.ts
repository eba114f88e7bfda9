import type { AcquireLease, Lease } from "@aegis/protocol/lease";

/** The calls that {@link StayAwake} needs. */
export interface Keepalive {
  keepAwake(lease: AcquireLease): Promise<Pick<Lease, "lease_id">>;
  letSleep(leaseId: string): Promise<void>;
}

const TTL_MS = 120_000;
const RENEW_MS = 40_000;

/** Keeps this instance from being paused while anyone holds it. One lease for all, renewed by a new one, given back at the end. */
export class StayAwake {
  readonly #api: Keepalive;
  readonly #onError: (error: unknown) => void;
  readonly #holders = new Map<string, string>();
  #lease: string | null = null;
  #timer: NodeJS.Timeout | null = null;
  #last: Promise<void> = Promise.resolve();

  constructor(api: Keepalive, onError: (error: unknown) => void) {
    this.#api = api;
    this.#onError = onError;
  }

  hold(holder: string, reason: string): void {
    const first = this.#holders.size === 0;
    this.#holders.set(holder, reason);
    if (!first) return;
    this.#renew();
    this.#timer = setInterval(() => this.#renew(), RENEW_MS);
  }

  release(holder: string): void {
    if (!this.#holders.delete(holder) || this.#holders.size > 0) return;
    this.#stopTimer();
    this.#call(async () => {
      if (this.#holders.size === 0) await this.#swap(null);
    });
  }

  /** Settles when every call so far has been answered. */
  settled(): Promise<void> {
    return this.#last;
  }

  close(): void {
    this.#holders.clear();
    this.#stopTimer();
  }

  #renew(): void {
    this.#call(async () => {
      const reason = [...this.#holders.values()].at(-1);
      if (reason === undefined) return;
      const { lease_id } = await this.#api.keepAwake({ ttl_ms: TTL_MS, reason: reason.slice(0, 256) });
      await this.#swap(lease_id);
    });
  }

  /** The new lease is held before the old one goes. */
  async #swap(next: string | null): Promise<void> {
    const old = this.#lease;
    this.#lease = next;
    if (old !== null) await this.#api.letSleep(old);
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** One call at a time: a late renewal never overtakes the release. */
  #call(call: () => Promise<void>): void {
    this.#last = this.#last.then(call).catch(this.#onError);
  }
}
