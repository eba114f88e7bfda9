import { SerialQueue } from "../../core/serial-queue.ts";
import type { ReclaimOutcome } from "../../core/driver.ts";
import { LentSettings } from "./lent-settings.ts";
import { errorCode, type MemoryGroup } from "../linux/memory-group.ts";
import { memoryPress, type MemoryPress } from "./memory-press.ts";
import type { SwapSpace } from "./swap-space.ts";

const KB = 1024;
const MB = 1024 * KB;

/** What is left is mostly the kernel's own: page tables, sockets. */
const FLOOR = MB;
/** One step is one call that cannot be interrupted: this bounds what a wake may have to wait for. */
const STEP = { first: MB, least: 256 * KB, most: 8 * MB, quickMs: 2, slowMs: 4 };
/** steps in a row that brought next to nothing */
const PATIENCE = 4;
/** The rest of the swap is for the machine itself. */
const SWAP_SHARE = 0.9;
const NEEDED: ReclaimOutcome = { nothing: "the machine is needed again" };

export interface MemoryReclaimOptions {
  /** false: the operator does not want it */
  enabled: boolean;
  swap: () => SwapSpace;
  now: () => number;
}

/** A machine's control group, and the folder of its boot. */
export interface ReclaimTarget {
  cgroup: { memory: MemoryGroup | null };
  folder: string;
}

/**
 * Gives the memory of paused machines back to the host by having the kernel swap it out, one machine after the other:
 * the disk gets no faster by being asked twice.
 */
export class MemoryReclaim {
  readonly #options: MemoryReclaimOptions;
  readonly #queue = new SerialQueue();

  constructor(options: MemoryReclaimOptions) {
    this.#options = options;
  }

  /** Whether pauses give memory back at all. */
  get works(): boolean {
    return this.#options.enabled && this.#options.swap().total > 0;
  }

  /** Why there is nothing to be done now; null when there is. */
  get hindrance(): string | null {
    if (!this.#options.enabled) return "AEGIS_RECLAIM is off";
    const { total, used } = this.#options.swap();
    if (total === 0) return "this host has neither swap nor zram";
    return used >= total * SWAP_SHARE ? "the swap is full" : null;
  }

  /**
   * The machine must be frozen, and stay so until the promise settles. An abort ends it within a step of a few
   * milliseconds; the settings of the group are then as they were.
   */
  async run(target: ReclaimTarget, signal: AbortSignal): Promise<ReclaimOutcome> {
    if (signal.aborted) return NEEDED;
    const left = Promise.withResolvers<ReclaimOutcome>();
    let begun = false;
    const leave = (): void => {
      if (!begun) left.resolve(NEEDED);
    };
    signal.addEventListener("abort", leave, { once: true });
    const turn = this.#queue.run(() => {
      begun = true;
      return this.#reclaim(target, signal);
    });
    try {
      return await Promise.race([turn, left.promise]);
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  /** After a crash in the middle of it: the machine gets its own settings back. */
  async restore({ cgroup, folder }: ReclaimTarget): Promise<void> {
    if (cgroup.memory !== null) await new LentSettings(cgroup.memory, folder).restore();
  }

  async #reclaim({ cgroup: { memory }, folder }: ReclaimTarget, signal: AbortSignal): Promise<ReclaimOutcome> {
    if (signal.aborted) return NEEDED;
    const started = this.#options.now();
    const { hindrance } = this;
    const press = hindrance === null && memory !== null ? await memoryPress(memory) : null;
    if (press === null || memory === null)
      return { nothing: hindrance ?? "the kernel offers no way to swap out one control group" };
    const lent = new LentSettings(memory, folder);
    const beforeBytes = await press.usage();
    try {
      await lent.note(press.changes);
      await press.prepare();
      await this.#squeeze(press, beforeBytes, signal);
    } catch (error) {
      // the machine has ended meanwhile, and its group with it
      if (errorCode(error) !== "ENOENT" && errorCode(error) !== "ENODEV") throw error;
    } finally {
      await lent.restore();
    }
    return { beforeBytes, afterBytes: await press.usage(), tookMs: Math.round(this.#options.now() - started) };
  }

  async #squeeze(press: MemoryPress, start: number, signal: AbortSignal): Promise<void> {
    const { now } = this.#options;
    let [usage, size, idle] = [start, STEP.first, 0];
    while (!signal.aborted && usage > FLOOR && idle < PATIENCE && this.hindrance === null) {
      const begun = now();
      const done = await press.push(usage, size);
      const took = now() - begun;
      const next = await press.usage();
      idle = usage - next < size / 8 ? idle + 1 : 0;
      if (!done || took > STEP.slowMs) size = Math.max(size / 2, STEP.least);
      else if (took < STEP.quickMs) size = Math.min(size * 2, STEP.most);
      usage = next;
    }
  }
}
