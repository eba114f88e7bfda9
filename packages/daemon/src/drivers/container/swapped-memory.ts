import { type ChildProcess, spawn } from "node:child_process";
import { freemem } from "node:os";
import { join } from "node:path";
import type { ReclaimOutcome } from "../../core/driver.ts";
import type { Cgroup } from "../linux/cgroup.ts";
import type { MemoryReclaim } from "./memory-reclaim.ts";
import { READ_AHEAD_SCRIPT } from "./read-ahead-script.ts";

const MB = 1024 * 1024;
const PERL = "/usr/bin/perl";
const NOTE = "working-set";
/** Less is read by the time that another process has been started for it. */
const WORTH_READING = 32 * MB;
/** Waits in seconds, from one look to the next. In five seconds, what a machine is woken for is mostly done. */
const LOOKS = "0.1,0.2,0.3,0.4,1,3";
/** Only then, since it takes as much of the processors as of the disk. */
const REST_AFTER_S = "3";
/** The rest is read only while the host has this many times as much to spare. */
const SPARE = 2;

export interface SwappedMachine {
  cgroup: Cgroup;
  /** of its boot */
  folder: string;
}

/**
 * What one machine has in swap: goes there in a pause, and is read ahead at a wake, first what it touched after the wake
 * before, in that order. Nobody waits for that: what fails is read page by page, as the machine comes to it.
 */
export class SwappedMemory {
  readonly #reclaim: MemoryReclaim;
  readonly #machine: SwappedMachine;
  /** of one from an earlier daemon it is not known */
  #mayBeThere = true;
  #helpers: ChildProcess[] = [];
  /** how often it was told to stop: what begins to read looks whether that came in between */
  #stops = 0;

  constructor(reclaim: MemoryReclaim, machine: SwappedMachine) {
    this.#reclaim = reclaim;
    this.#machine = machine;
  }

  /** The machine must be frozen, and stay so until the promise settles. */
  async giveBack(signal: AbortSignal): Promise<ReclaimOutcome> {
    this.stop();
    const outcome = await this.#reclaim.run(this.#machine, signal);
    this.#mayBeThere ||= "beforeBytes" in outcome && outcome.beforeBytes - outcome.afterBytes >= WORTH_READING;
    return outcome;
  }

  /** The machine goes on. */
  takeBack(): void {
    if (this.#mayBeThere) this.#readAhead().catch(() => undefined);
  }

  /** Ends what goes on behind the machine. */
  stop(): void {
    this.#stops += 1;
    for (const helper of this.#helpers.splice(0)) helper.kill("SIGKILL");
  }

  async #readAhead(): Promise<void> {
    this.#mayBeThere = false;
    const { cgroup } = this.#machine;
    this.stop();
    const stops = this.#stops;
    const [{ swapped_bytes }, pids] = await Promise.all([cgroup.stats(), cgroup.processes()]);
    if (this.#stops !== stops || swapped_bytes < WORTH_READING || pids.length === 0) return;
    this.#start("read", freemem() > SPARE * swapped_bytes ? REST_AFTER_S : "never", pids);
    this.#start("note", LOOKS, pids);
  }

  #start(verb: "read" | "note", waits: string, pids: readonly number[]): void {
    const words = [verb, join(this.#machine.folder, NOTE), waits, ...pids.map(String)];
    const helper = spawn(PERL, ["-e", READ_AHEAD_SCRIPT, ...words], { env: {}, cwd: "/", stdio: "ignore" });
    // a host without Perl does without
    helper.on("error", () => undefined);
    helper.unref();
    this.#helpers.push(helper);
  }
}
