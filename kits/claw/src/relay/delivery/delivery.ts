import { backoffMs, pause } from "../backoff.ts";
import type { WebhookOptions } from "../options.ts";
import { postUpdate } from "./post-update.ts";
import type { PendingUpdate, UpdateQueue } from "./update-queue.ts";

const parallelLanes = 8;
/** a refusal may be a bot that is only half up, so it counts when it is repeated */
const refusalsUntilGivenUp = 5;

interface Dependencies {
  queue: UpdateQueue;
  webhook: WebhookOptions;
  log: (line: string) => void;
  /** pause before the first retry and the longest one */
  retryMs?: { first: number; longest: number };
  /** called whenever a lane starts, meets a failure, or empties */
  onChange: (state: DeliveryState) => void;
}

/** `retrying`: the bot did not take an update at the first try. */
export type DeliveryState = "quiet" | "delivering" | "retrying";

interface Lane {
  done: Promise<void>;
  failures: number;
  /** cuts the pause between two tries short */
  nudge: AbortController;
}

/** Brings updates to the bot: one at a time and in order in each lane, again and again until the bot has them. */
export class Delivery {
  readonly #deps: Dependencies;
  readonly #retryMs: { first: number; longest: number };
  readonly #closing = new AbortController();
  readonly #lanes = new Map<string, Lane>();

  constructor(deps: Dependencies) {
    this.#deps = deps;
    this.#retryMs = deps.retryMs ?? { first: 250, longest: 10_000 };
  }

  /** Looks for work; to be called after something was queued, and when the bot shows that it is up. */
  wake(): void {
    if (this.#closing.signal.aborted) return;
    for (const lane of this.#lanes.values()) {
      lane.failures = Math.min(lane.failures, 1);
      lane.nudge.abort();
    }
    this.#fill();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#lanes.values()].map((lane) => lane.done));
  }

  #fill(): void {
    for (const name of this.#deps.queue.lanes()) {
      if (this.#lanes.size >= parallelLanes) return;
      if (!this.#lanes.has(name)) this.#start(name);
    }
  }

  #start(name: string): void {
    const lane: Lane = { done: Promise.resolve(), failures: 0, nudge: new AbortController() };
    this.#lanes.set(name, lane);
    lane.done = this.#empty(name, lane).then(
      () => {
        this.#forget(name);
        if (!this.#closing.signal.aborted) this.#fill();
      },
      (error: unknown) => {
        // a broken database: going on at once would spin, the next wake() tries again
        this.#forget(name);
        this.#deps.log(`delivery stopped: ${error instanceof Error ? error.message : String(error)}`);
      },
    );
    this.#report();
  }

  #forget(name: string): void {
    this.#lanes.delete(name);
    this.#report();
  }

  async #empty(name: string, lane: Lane): Promise<void> {
    const closing = this.#closing.signal;
    for (let update = this.#deps.queue.head(name); update && !closing.aborted; update = this.#deps.queue.head(name)) {
      await this.#tryOnce(update, lane, closing);
    }
  }

  async #tryOnce(update: PendingUpdate, lane: Lane, closing: AbortSignal): Promise<void> {
    const { queue, webhook, log } = this.#deps;
    const outcome = await postUpdate(webhook, update.body, closing);
    if (outcome.kind === "accepted") {
      queue.settle(update, "accepted");
      lane.failures = 0;
      return;
    }
    if (closing.aborted) return;
    lane.failures += 1;
    this.#report();
    if (outcome.kind === "refused" && lane.failures >= refusalsUntilGivenUp) {
      queue.settle(update, "refused");
      lane.failures = 0;
      log(`update ${update.updateId} given up after ${refusalsUntilGivenUp} tries: ${outcome.reason}`);
      return;
    }
    if (lane.failures === 1 || lane.failures % 10 === 0) log(`update ${update.updateId} waits: ${outcome.reason}`);
    await this.#rest(lane, outcome.kind === "failed" ? outcome.retryAfterS : null);
  }

  async #rest(lane: Lane, retryAfterS: number | null): Promise<void> {
    const { first, longest } = this.#retryMs;
    const ms = retryAfterS === null ? backoffMs(lane.failures, first, longest) : Math.min(retryAfterS * 1000, longest);
    lane.nudge = new AbortController();
    await pause(ms, AbortSignal.any([lane.nudge.signal, this.#closing.signal]));
  }

  #report(): void {
    const lanes = [...this.#lanes.values()];
    this.#deps.onChange(
      lanes.length === 0 ? "quiet" : lanes.some((lane) => lane.failures > 0) ? "retrying" : "delivering",
    );
  }
}
