import type { ActivityReport, ProcessExit } from "@aegis/protocol/control";
import type { ActivityTimer } from "./activity-timer.ts";
import { bootObserver } from "./boot-observer.ts";
import { BootSession } from "./boot-session.ts";
import type { Machine } from "./driver.ts";
import { endOfMachine, endOfProcess } from "./ending.ts";
import type { Ending } from "./ending.ts";
import type { HarnessObserver } from "./harness.ts";
import type { InstanceJournal } from "./instance-journal.ts";
import { beganIn } from "./instance-record.ts";
import type { LifecycleDeps } from "./lifecycle-deps.ts";
import type { LogPosition } from "./logs.ts";
import type { TokenKeeper } from "./token-keeper.ts";

export interface CurrentBootDeps extends LifecycleDeps {
  journal: InstanceJournal;
  activity: ActivityTimer;
  onHeartbeat: (report: ActivityReport) => void;
  /** one boot has ended by itself, or its workload has */
  onEnd: (boot: number, outcome: (session: BootSession) => Promise<Ending>) => void;
}

/** The boot that an instance has now, if any, and what it says of itself. */
export class CurrentBoot {
  readonly #deps: CurrentBootDeps;
  readonly #journal: InstanceJournal;
  #session: BootSession | null = null;
  readonly #onBegin = new Set<(session: BootSession) => void>();

  constructor(deps: CurrentBootDeps) {
    this.#deps = deps;
    this.#journal = deps.journal;
  }

  get session(): BootSession | null {
    return this.#session;
  }

  get lastActiveAt(): string {
    const active = this.#session !== null && this.#journal.seen.state !== "paused";
    return active ? new Date(this.#deps.activity.lastTouch).toISOString() : this.#journal.seen.lastActiveAt;
  }

  /** @param listener told of each boot once its ports can be dialled @returns has it told no more */
  onBegin(listener: (session: BootSession) => void): () => void {
    this.#onBegin.add(listener);
    return () => this.#onBegin.delete(listener);
  }

  /** @param observer made by {@link observer} for the same boot */
  begin(machine: Machine, observer: HarnessObserver, token: TokenKeeper): BootSession {
    const { harness, warn, onEnd } = this.#deps;
    this.#session = new BootSession({ machine, harness, observer, token, warn });
    void machine.exited.then((exit) => onEnd(machine.boot, async () => endOfMachine(exit, this.#journal)));
    for (const tell of this.#onBegin) tell(this.#session);
    return this.#session;
  }

  /** The boot is over, and all that its processes had asked for. */
  leave(): void {
    if (this.#session === null) return;
    this.#journal.note({ lastActiveAt: this.lastActiveAt });
    this.letGo();
    this.#deps.onBootOver();
  }

  /** What its processes had asked for stays: the machine goes on, or sleeps on disk. */
  letGo(): void {
    this.#deps.activity.stop();
    this.#session?.forget();
    this.#session = null;
  }

  /** Up to where the lines of the workload that began last are on disk. */
  async logged(): Promise<LogPosition> {
    const boot = beganIn(this.#journal.seen);
    return { boot, seq: await this.#deps.logs.newestSeq(this.#journal.record.id, boot) };
  }

  /** @param log where its harness goes on to number the lines */
  observer(boot: number, log: LogPosition, token: TokenKeeper): HarnessObserver {
    const { logs, tokens, audit, warn, onStream, onHeartbeat } = this.#deps;
    return bootObserver({
      boot,
      log,
      journal: this.#journal,
      logs,
      tokens,
      audit,
      warn,
      onStream,
      onHeartbeat,
      isTokenKnown: () => token.isHeld,
      onTokenRefused: () => this.#session?.lookAtToken(),
      onProcessExited: (exit) => this.#onProcessExited(boot, exit),
      onLogSaved: (seq) => {
        if (this.#session?.machine.boot === boot) this.#session.logSaved(seq);
      },
    });
  }

  #onProcessExited(boot: number, exit: ProcessExit): void {
    this.#deps.onEnd(boot, ({ machine }) => endOfProcess(machine, exit, this.#journal));
  }
}
