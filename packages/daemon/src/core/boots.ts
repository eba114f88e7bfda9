import { AegisError, shellExitCode, messageOf } from "@aegis/protocol/errors";
import type { Arrivals } from "./arrivals.ts";
import { bootInstance } from "./boot.ts";
import type { BootRequest, Booted } from "./boot.ts";
import type { BootSession } from "./boot-session.ts";
import type { CurrentBoot } from "./current-boot.ts";
import type { Machine } from "./driver.ts";
import type { InstanceJournal } from "./instance-journal.ts";
import { freshBoot, takenUpBoot } from "./instance-record.ts";
import type { InstanceRecord, Observation } from "./instance-record.ts";
import type { LifecycleDeps } from "./lifecycle-deps.ts";
import type { LogPosition } from "./logs.ts";
import type { MachineDisposal } from "./machine-disposal.ts";
import { PullLog } from "./pull-log.ts";
import type { RestartTimer } from "./restart-timer.ts";
import { isUnusable, takeUpInstance } from "./take-up.ts";
import { TokenKeeper } from "./token-keeper.ts";
import { wrongState } from "./wrong-state.ts";

export interface BootsDeps extends LifecycleDeps {
  journal: InstanceJournal;
  restarts: RestartTimer;
  current: CurrentBoot;
  arrivals: Arrivals;
  disposal: MachineDisposal;
  /** nothing of what was hibernated will be taken up */
  endAsleep: () => Promise<void>;
}

interface GenerationParts {
  token: TokenKeeper;
  /** from here on the machine is the instance's, although its harness may not answer yet */
  begin: (machine: Machine) => void;
}

/** Hands over the control stream to a workload that runs. */
type Use = (booted: Booted) => Promise<void>;

/** Brings one instance from no machine to a workload that runs: from the beginning, or from where it was hibernated. */
export class Boots {
  readonly #deps: BootsDeps;
  readonly #journal: InstanceJournal;
  #abort = new AbortController();

  constructor(deps: BootsDeps) {
    this.#deps = deps;
    this.#journal = deps.journal;
  }

  /** May be called at any time: a boot that is going on fails soon. */
  cancel(): void {
    this.#abort.abort();
  }

  async boot(reason: string): Promise<void> {
    this.#deps.restarts.cancel();
    await this.#checkStart();
    this.#abort = new AbortController();
    const { state, snapshot } = this.#journal.seen;
    if (state !== "starting") this.#journal.transition({ state: "starting", wanted: "running" }, reason);
    try {
      if (snapshot && (await this.#takeUp(reason))) return;
      await this.#generation(reason, freshBoot, null, async (request, use, { token }) => {
        await use(await bootInstance(this.#deps, request, await token.first()));
      });
    } catch (error) {
      this.#bootFailed(error);
      if (!this.#abort.signal.aborted) throw error;
      throw wrongState(this.#record, this.#journal.seen, "finish its start: it was stopped meanwhile");
    }
  }

  /** Again, because what it depends on may have changed while the start waited in the queue. */
  async #checkStart(): Promise<void> {
    try {
      this.#deps.checkStart();
    } catch (error) {
      if (this.#journal.seen.state !== "starting") throw error;
      await this.#deps.endAsleep();
      this.#deps.arrivals.stopped({ state: "stopped" }, `not started: ${String(error)}`);
      throw error;
    }
  }

  /** @returns false when it cannot go on where it was, and has to boot from the beginning */
  async #takeUp(reason: string): Promise<boolean> {
    await this.#deps.logs.flush(this.#record.id);
    const logged = await this.#deps.current.logged();
    try {
      await this.#generation(
        reason,
        { ...takenUpBoot, beganAs: logged.boot },
        logged,
        async (request, use, { begin }) => {
          await takeUpInstance(this.#deps, request, use, begin);
          this.#journal.note({ snapshot: false });
        },
      );
      return true;
    } catch (error) {
      if (!isUnusable(error) || this.#abort.signal.aborted) throw error;
      const why = `could not be taken up where it was: ${error.message}; it boots cold`;
      this.#journal.say(why);
      await this.#deps.endAsleep();
      this.#journal.transition({ state: "starting" }, why);
      return false;
    }
  }

  /**
   * One boot, with a number of its own.
   * @param logged where its harness goes on to number the lines of the log; null: it begins
   */
  async #generation(
    reason: string,
    forgotten: Partial<Observation>,
    logged: LogPosition | null,
    how: (request: BootRequest, use: Use, parts: GenerationParts) => Promise<void>,
  ): Promise<void> {
    const { arrivals, current, disposal, hostBoot, workspace } = this.#deps;
    const boot = this.#journal.seen.boot + 1;
    const pullLog = new PullLog((message) => this.#journal.progress(message));
    const token = new TokenKeeper(this.#deps, this.#record, boot);
    const observer = current.observer(boot, logged ?? { boot, seq: 0 }, token);
    let made: Machine | null = null;
    const begin = (machine: Machine): BootSession => current.begin(machine, observer, token);
    const use: Use = async ({ machine, link }) => {
      await (current.session?.machine === machine ? current.session : begin(machine)).use(link);
      if (link.initial.state === "exited") observer.processExited(link.initial.exit);
    };
    try {
      await disposal.clear();
      this.#journal.commit({ boot, hostBoot, ...forgotten });
      const request: BootRequest = {
        record: this.#record,
        imageDigest: this.#journal.seen.imageDigest,
        boot,
        observer,
        workspace: workspace(),
        onPull: (progress) => pullLog.add(progress),
        onImage: ({ digest }) => this.#journal.bootsFrom(digest),
        onMachine: (machine) => {
          made = machine;
        },
        signal: this.#abort.signal,
      };
      await how(request, use, { token, begin });
      arrivals.running(reason);
    } catch (error) {
      await this.#abandon(made);
      throw error;
    }
  }

  /** What is left of a boot that failed. The boot's failure is what counts. */
  async #abandon(machine: Machine | null): Promise<void> {
    const { current, disposal, warn } = this.#deps;
    current.leave();
    if (machine === null) return;
    await disposal.end(machine).catch((error: unknown) => warn(`${this.#record.id}: ${String(error)}`));
  }

  #bootFailed(error: unknown): void {
    const { arrivals } = this.#deps;
    const cancelled = this.#abort.signal.aborted;
    const failure = cancelled ? null : messageOf(error);
    const reason = cancelled ? "the start was cancelled" : `boot failed: ${failure}`;
    this.#journal.say(reason);
    if (cancelled) return arrivals.stopped({ state: "stopped", failure }, reason);
    const passing = !(error instanceof AegisError) || error.status >= 500;
    const exitCode = error instanceof AegisError ? shellExitCode(error.code) : null;
    arrivals.ended({ state: "failed", failure, exitCode }, reason, { kind: "boot_failed", passing });
  }

  get #record(): InstanceRecord {
    return this.#journal.record;
  }
}
