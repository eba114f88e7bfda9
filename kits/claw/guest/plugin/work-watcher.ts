import { setTimeout as delay } from "node:timers/promises";
import type { InstanceView } from "@aegis/protocol/instance";
import { failureOf, lifetimeIsOver } from "./failure-text.ts";
import { GuestApiError, type GuestApi } from "./guest-api.ts";
import type { StayAwake } from "./stay-awake.ts";
import { advance, noProgress, type WorkProgress } from "./work-progress.ts";
import type { WorkRecord } from "./work-record.ts";
import type { WorkStore } from "./work-store.ts";

const RETRY_MS = 1000;
const MAX_RETRY_MS = 15_000;
const POLL_MS = 5000;
const SETTLE_MS = 100;
const SETTLE_TRIES = 20;

/** How the work of one instance came to its end, for the chat and the agent. */
export type Outcome = { seconds: number } & (
  | { kind: "done"; text: string; site: boolean }
  | { kind: "failed"; reason: string }
  | { kind: "stopped" }
);

/** Who wants to know. */
export interface Audience {
  progress(work: WorkRecord, progress: WorkProgress): void;
  /** Settles when everybody has been told. */
  ended(work: WorkRecord, progress: WorkProgress, outcome: Outcome): Promise<void>;
}

export interface WatcherParts {
  api: Pick<GuestApi, "logs" | "get">;
  store: WorkStore;
  awake: Pick<StayAwake, "hold" | "release">;
  audience: Audience;
  onError: (what: string, error: unknown) => void;
  /** how often to look whether the instance is still there */
  pollMs?: number;
}

/** Follows the logs of work that is going on, keeps the bot awake meanwhile, and says how it ended. */
export class WorkWatcher {
  readonly #parts: WatcherParts;
  readonly #closed = new AbortController();
  readonly #watching = new Map<string, Promise<void>>();
  readonly #pollMs: number;

  constructor(parts: WatcherParts) {
    this.#parts = parts;
    this.#pollMs = parts.pollMs ?? POLL_MS;
  }

  /** Idempotent. */
  watch(work: WorkRecord): void {
    if (this.#watching.has(work.id) || this.#closed.signal.aborted) return;
    const { awake, onError } = this.#parts;
    awake.hold(work.id, `${work.handle} is working`);
    const watching = this.#follow(work)
      .catch((error: unknown) => onError(`watching ${work.handle}`, error))
      .finally(() => {
        awake.release(work.id);
        this.#watching.delete(work.id);
      });
    this.#watching.set(work.id, watching);
  }

  /** Settles when no work is being watched any more. */
  async idle(): Promise<void> {
    while (this.#watching.size > 0) await Promise.all(this.#watching.values());
  }

  /** Leaves the work alone; a later boot takes it up again. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.idle();
  }

  async #follow(work: WorkRecord): Promise<void> {
    for (let retryMs = RETRY_MS; !this.#closed.signal.aborted; retryMs = Math.min(retryMs * 2, MAX_RETRY_MS)) {
      const progress = await this.#read(work);
      if (this.#closed.signal.aborted) return;
      const outcome = await this.#outcome(work, progress);
      if (outcome !== null) return await this.#end(work, progress, outcome);
      await delay(retryMs, undefined, { signal: this.#closed.signal }).catch(() => null);
    }
  }

  /** Reads the log from the start of the work until its end, or as far as it goes. */
  async #read(work: WorkRecord): Promise<WorkProgress> {
    const { api, audience, onError } = this.#parts;
    let progress = noProgress;
    const over = new AbortController();
    const poll = setInterval(() => void this.#abortWhenOver(work, over), this.#pollMs);
    try {
      const signal = AbortSignal.any([this.#closed.signal, over.signal]);
      const lines = await api.logs(work.id, { follow: true, since: work.started_at }, signal);
      for await (const line of lines) {
        const next = advance(progress, line);
        if (next.steps !== progress.steps || (work.kind !== "task" && next.output !== progress.output))
          audience.progress(work, next);
        progress = next;
        if (progress.end !== null) break;
      }
    } catch (error) {
      if (!this.#closed.signal.aborted && !over.signal.aborted) onError(`reading the log of ${work.handle}`, error);
    } finally {
      clearInterval(poll);
    }
    return progress;
  }

  /** A log does not end with its instance, and not every end of an instance leaves a line in it. */
  async #abortWhenOver(work: WorkRecord, over: AbortController): Promise<void> {
    const instance = await this.#instance(work);
    if (instance === "gone" || (instance !== "unknown" && !isAlive(instance))) over.abort();
  }

  /** @returns null while the work goes on */
  async #outcome(work: WorkRecord, { end, output }: WorkProgress): Promise<Outcome | null> {
    const seconds = end !== null && end.kind !== "exited" ? end.seconds || secondsSince(work) : secondsSince(work);
    const said = work.kind === "task" ? [] : output;
    if (end?.kind === "done") return { kind: "done", text: [end.text, ...said].join("\n"), site: end.site, seconds };
    if (end?.kind === "failed") return { kind: "failed", reason: [end.text, ...said].join("\n"), seconds };
    const instance = await this.#settled(work, end !== null);
    if (instance === "unknown") return null;
    if (instance === "gone") return { kind: "failed", reason: "it has been deleted.", seconds };
    const code = end?.code ?? instance.exit_code;
    if (end === null && isAlive(instance)) return null;
    if (code === 0) return { kind: "done", text: lastWords(output), site: false, seconds };
    if (lifetimeIsOver(instance)) return { kind: "failed", reason: failureOf(instance, code), seconds };
    if (instance.failure === null && wasStopped(instance, code)) return { kind: "stopped", seconds };
    return { kind: "failed", reason: [failureOf(instance, code), ...output].join("\n"), seconds };
  }

  /** The line that says "exited" comes before the instance's state says so, and why. */
  async #settled(work: WorkRecord, exited: boolean): Promise<InstanceView | "gone" | "unknown"> {
    for (let tries = 0; ; tries++) {
      const instance = await this.#instance(work);
      const settled = instance === "gone" || instance === "unknown" || !isAlive(instance);
      if (!exited || settled || tries === SETTLE_TRIES || this.#closed.signal.aborted) return instance;
      await delay(SETTLE_MS);
    }
  }

  async #instance(work: WorkRecord): Promise<InstanceView | "gone" | "unknown"> {
    try {
      return await this.#parts.api.get(work.id);
    } catch (error) {
      if (error instanceof GuestApiError && (error.code === "instance_not_found" || error.code === "instance_deleted"))
        return "gone";
      this.#parts.onError(`asking for ${work.handle}`, error);
      return "unknown";
    }
  }

  async #end(work: WorkRecord, progress: WorkProgress, outcome: Outcome): Promise<void> {
    await this.#parts.audience.ended(work, progress, outcome);
    // only now: a bot that dies in between tells it again rather than never
    this.#parts.store.update(work.id, { phase: outcome.kind, seconds: outcome.seconds });
  }
}

const TERMINATED = 143;

const secondsSince = (work: WorkRecord): number => Math.max(0, (Date.now() - Date.parse(work.started_at)) / 1000);

const lastWords = (output: readonly string[]): string =>
  output.length === 0
    ? "It ended with exit code 0."
    : `It ended with exit code 0 and these last lines:\n${output.join("\n")}`;

export const isAlive = ({ state }: Pick<InstanceView, "state">): boolean =>
  state === "starting" || state === "running" || state === "paused" || state === "hibernated";

const wasStopped = (instance: InstanceView, code: number | null): boolean =>
  code === TERMINATED || (instance.state === "stopped" && (code === null || code === 137));
