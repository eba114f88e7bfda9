import type { ProcessExit } from "@aegis/protocol/control";
import type { Machine } from "./driver.ts";
import type { Harness, HarnessLink, HarnessObserver } from "./harness.ts";
import type { TokenKeeper } from "./token-keeper.ts";

/** on top of the grace: how long the harness may take to answer that the workload is gone */
const SHUTDOWN_SLACK_MS = 2_000;

const MAX_BREAKS = 10;
const BREAKS_WITHIN_MS = 60_000;

export interface BootSessionParts {
  machine: Machine;
  harness: Harness;
  observer: HarnessObserver;
  token: TokenKeeper;
  warn: (message: string) => void;
}

/** One boot of an instance: its machine, the control stream to its harness, and the token that is good for this boot. */
export class BootSession {
  readonly machine: Machine;
  readonly startedAt = Date.now();
  readonly #parts: BootSessionParts;
  #link: HarnessLink | null = null;
  #connecting: Promise<void> | null = null;
  #ended = false;
  /** when the stream broke lately */
  #breaks: number[] = [];

  constructor(parts: BootSessionParts) {
    this.machine = parts.machine;
    this.#parts = parts;
  }

  /** Takes over a control stream; makes it again when it breaks while the machine lives, else the machine is of no use. */
  async use(link: HarnessLink): Promise<void> {
    this.#link = link;
    void link.closed.then(() => this.#onClosed(link)).catch((error: unknown) => this.#parts.warn(String(error)));
    await this.#parts.token.keep(link);
  }

  async #onClosed(link: HarnessLink): Promise<void> {
    if (this.#ended || this.#link !== link) return;
    this.#link = null;
    if (this.#breaksTooOften()) return this.machine.kill();
    if (await this.machine.isPaused().catch(() => false)) return;
    await this.connect().catch(() => (this.#ended ? undefined : this.machine.kill()));
  }

  /** A harness has no reason to end its stream. One that goes on doing so would keep us busy with nothing else. */
  #breaksTooOften(): boolean {
    const now = Date.now();
    this.#breaks = [...this.#breaks, now].filter((at) => at > now - BREAKS_WITHIN_MS);
    return this.#breaks.length > MAX_BREAKS;
  }

  /** True when the machine is up but its workload was never started: the last daemon died in mid boot. */
  get neverRan(): boolean {
    return this.#link?.initial.state === "idle";
  }

  /** True when the instance has nothing to do with this boot any more. */
  get over(): boolean {
    return this.#ended;
  }

  /** Makes the control stream unless there is one, and renews an old token. The machine must not be paused. */
  async connect(): Promise<void> {
    if (this.#link !== null) return this.#parts.token.keep(this.#link);
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = null;
    });
    return this.#connecting;
  }

  async #connect(): Promise<void> {
    const link = await this.#parts.harness.connect(this.machine, this.#parts.observer);
    if (this.#ended) return link.close();
    await this.use(link);
    if (link.initial.state === "exited") this.#parts.observer.processExited(link.initial.exit);
  }

  /** Somebody came with a token that is not good any more: the next one finds a fresh one. */
  lookAtToken(): void {
    void this.#parts.token.look();
  }

  /**
   * Asks the workload to end. A harness that does not even answer is given no longer than one that does.
   * @returns its exit, or null when the harness cannot say
   * @throws what `connect` throws
   */
  async shutDown(graceMs: number): Promise<ProcessExit | null> {
    const link = await within(
      graceMs + SHUTDOWN_SLACK_MS,
      this.connect().then(() => this.#link),
    );
    if (link === null) return null;
    // a control stream that ends first: the machine is gone or about to be killed
    return within(
      graceMs + SHUTDOWN_SLACK_MS,
      link.shutdown(graceMs).catch(() => null),
    );
  }

  /** Log lines up to this one are on disk. */
  logSaved(seq: number): void {
    this.#link?.logSaved(seq);
  }

  /** Lets go of a machine that goes on running. */
  forget(): void {
    this.#ended = true;
    this.#parts.token.stop();
    this.#link?.close();
  }
}

/** Null when it takes longer. */
async function within<T>(ms: number, work: Promise<T>): Promise<T | null> {
  const { promise: expired, resolve } = Promise.withResolvers<null>();
  const timer = setTimeout(() => resolve(null), ms);
  return Promise.race([work, expired]).finally(() => clearTimeout(timer));
}
