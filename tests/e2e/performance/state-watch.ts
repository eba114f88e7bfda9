import type { InstanceState } from "@aegis/protocol/instance";
import type { AegisClient } from "@aegis/sdk/client";

/** Tells when instances change their state, over one stream of events that is open all the time. */
export class StateWatch implements Disposable {
  readonly #ending = new AbortController();
  readonly #states = new Map<string, InstanceState>();
  #news = Promise.withResolvers<void>();

  constructor(client: AegisClient) {
    this.#follow(client).catch((error: unknown) => {
      if (!this.#ending.signal.aborted) this.#news.reject(error);
    });
  }

  /** @throws Error when it comes to a failed state instead */
  async reached(instanceId: string, wanted: InstanceState): Promise<void> {
    for (;;) {
      const state = this.#states.get(instanceId);
      if (state === wanted) return;
      if (state === "failed") throw new Error(`${instanceId} failed: aegis info says why`);
      await this.#news.promise;
    }
  }

  async #follow(client: AegisClient): Promise<void> {
    for await (const event of client.events({ signal: this.#ending.signal })) {
      if (event.type !== "instance.state") continue;
      this.#states.set(event.instance_id, event.state);
      const told = this.#news;
      this.#news = Promise.withResolvers();
      told.resolve();
    }
  }

  [Symbol.dispose](): void {
    this.#ending.abort();
  }
}
