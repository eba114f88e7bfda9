import { messageOf } from "@aegis/protocol/errors";
import { backoffMs, pause } from "../backoff.ts";
import type { WebhookOptions } from "../options.ts";
import { type Outcome, postUpdate } from "./post-update.ts";
import type { PendingUpdate, UpdateQueue } from "./update-queue.ts";

const parallelLanes = 8;
/** a refusal may be a bot that is only half up, so it counts when it is repeated */
const refusalsUntilGivenUp = 5;
/** a bot that breaks on an update and takes others; over half a minute */
const breaksUntilGivenUp = 8;
/** with nothing else to bring, one that breaks the bot is no reason to wake it all the time */
const breakRestFactor = 60;

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
  /** of them, refusals and breaks of the bot's own; no wake takes them back */
  faults: number;
  /** how many updates the bot had taken by the first of these */
  takenBefore: number;
  /** cuts the pause between two tries short */
  nudge: AbortController;
}

/** Brings updates to the bot: one at a time and in order in each lane, again and again until the bot has them. */
export class Delivery {
  readonly #deps: Dependencies;
  readonly #retryMs: { first: number; longest: number };
  readonly #closing = new AbortController();
  readonly #lanes = new Map<string, Lane>();
  /** how many updates the bot has taken */
  #taken = 0;

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
    const lane: Lane = {
      done: Promise.resolve(),
      failures: 0,
      faults: 0,
      takenBefore: 0,
      nudge: new AbortController(),
    };
    this.#lanes.set(name, lane);
    lane.done = this.#empty(name, lane).then(
      () => {
        this.#forget(name);
        if (!this.#closing.signal.aborted) this.#fill();
      },
      (error: unknown) => {
        // a broken database: going on at once would spin, the next wake() tries again
        this.#forget(name);
        this.#deps.log(`delivery stopped: ${messageOf(error)}`);
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
    const taken = this.#taken;
    const outcome = await postUpdate(webhook, update.body, closing);
    if (outcome.kind === "accepted") return this.#accepted(update, lane);
    if (closing.aborted) return;
    lane.failures += 1;
    if (outcome.kind !== "failed" && (lane.faults += 1) === 1) lane.takenBefore = this.#taken;
    this.#report();
    if (isHopeless(lane, outcome, taken)) {
      queue.settle(update, "refused");
      log(`update ${update.updateId} given up after ${lane.faults} tries: ${outcome.reason}`);
      return this.#afresh(lane);
    }
    if (lane.failures === 1 || lane.failures % 10 === 0) log(`update ${update.updateId} waits: ${outcome.reason}`);
    if (outcome.kind === "broken" && lane.faults >= breaksUntilGivenUp) await this.#tryBehind(update, lane);
    await this.#rest(lane, outcome);
  }

  #accepted(update: PendingUpdate, lane: Lane): void {
    this.#deps.queue.settle(update, "accepted");
    this.#taken += 1;
    this.#afresh(lane);
  }

  #afresh(lane: Lane): void {
    Object.assign(lane, { failures: 0, faults: 0 });
  }

  /**
   * Nobody else may write: whether the bot takes others shows with the one behind it. Then the first has its last try soon;
   * a bot that got well in this very moment has the two in the wrong order, and loses none.
   */
  async #tryBehind(update: PendingUpdate, lane: Lane): Promise<void> {
    const { queue, webhook } = this.#deps;
    const next = queue.behind(update);
    if (next === null) return;
    const { kind } = await postUpdate(webhook, next.body, this.#closing.signal);
    if (kind !== "accepted") return;
    queue.settle(next, "accepted");
    this.#taken += 1;
    lane.failures = 1;
  }

  async #rest(lane: Lane, outcome: Outcome): Promise<void> {
    const { first, longest } = this.#retryMs;
    const retryAfterS = outcome.kind === "failed" ? outcome.retryAfterS : null;
    const most = outcome.kind === "broken" ? longest * breakRestFactor : longest;
    const ms = retryAfterS === null ? backoffMs(lane.failures, first, most) : Math.min(retryAfterS * 1000, longest);
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

/** @param taken by the bot before this try. It is not the bot that is at fault, if it took others since the first break */
function isHopeless(lane: Lane, { kind }: Outcome, taken: number): boolean {
  if (kind === "refused") return lane.faults >= refusalsUntilGivenUp;
  return kind === "broken" && lane.faults >= breaksUntilGivenUp && taken > lane.takenBefore;
}
