import { setTimeout as delay } from "node:timers/promises";
import { AegisError } from "@aegis/protocol/errors";
import type { AegisClient } from "@aegis/sdk/client";

/** Ends by itself soon after a kit that was killed. */
const TTL_MS = 600_000;
const RENEW_MS = 200_000;
const AGAIN_MS = 5000;
const REASON = "the bot polls Telegram itself";

type Api = Pick<AegisClient["instances"], "lease" | "releaseLease">;

/** Keeps the bot awake for as long as the kit runs, whatever becomes of the daemon meanwhile. */
export class BotLease {
  readonly #api: Api;
  readonly #botId: string;
  readonly #log: (line: string) => void;
  readonly #closing = new AbortController();
  #held: string | null = null;
  #done: Promise<void> = Promise.resolve();

  static hold(client: { instances: Api }, botId: string, log: (line: string) => void): BotLease {
    const lease = new BotLease(client.instances, botId, log);
    lease.#done = lease.#renewForEver();
    return lease;
  }

  private constructor(api: Api, botId: string, log: (line: string) => void) {
    this.#api = api;
    this.#botId = botId;
    this.#log = log;
  }

  async release(): Promise<void> {
    this.#closing.abort();
    await this.#done;
    await this.#try(() => this.#swap(null));
  }

  async #renewForEver(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const held = await this.#try(async () => {
        const { lease_id } = await this.#api.lease(this.#botId, { ttl_ms: TTL_MS, reason: REASON });
        await this.#swap(lease_id);
      });
      await delay(held ? RENEW_MS : AGAIN_MS, undefined, { signal }).catch(() => null);
    }
  }

  /** The next is held before the last goes. */
  async #swap(next: string | null): Promise<void> {
    const last = this.#held;
    this.#held = next;
    if (last !== null) await this.#api.releaseLease(this.#botId, last);
  }

  /** @returns false when it failed: the daemon restarts, or the bot was deleted */
  async #try(call: () => Promise<void>): Promise<boolean> {
    try {
      await call();
      return true;
    } catch (error) {
      if (!(error instanceof AegisError)) throw error;
      this.#log(`the bot's lease: ${error.message}`);
      return false;
    }
  }
}
