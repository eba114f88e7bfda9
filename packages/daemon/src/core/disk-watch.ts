import { AegisError } from "@aegis/protocol/errors";
import type { DiskStatus } from "@aegis/protocol/status";
import type { EventLog } from "./event-log.ts";

const MB = 1024 * 1024;
const LOOK_MS = 15_000;
/** What is ours is measured again when so much has come or gone, and anyway after a while; never more often than this. */
const MEASURE_CHANGE_BYTES = 64 * MB;
const MEASURE_SOONEST_MS = 60_000;
const MEASURE_LATEST_MS = 900_000;
/** A disk that is low is fine again with so much more room, so that it does not go to and fro. */
const RELIEF = 0.1;
const DEFAULT_FLOOR_BYTES = 1024 * MB;
const RESERVE_BYTES = 64 * MB;

export interface DiskSpace {
  /** a folder on it */
  path: string;
  freeBytes: number;
  totalBytes: number;
}

/** What the daemon can learn of the disks that it writes to. */
export interface DiskGauge {
  /** of the one with the least room; cheap */
  space(): DiskSpace;
  /** bytes of everything that is ours but the images: instance disks, logs, the database; slow */
  measure(): Promise<number>;
}

export interface DiskLimits {
  /** null for none */
  budgetBytes: number | null;
  /** null for 1 GB, or a tenth of a small disk */
  floorBytes: number | null;
}

export interface DiskWatchDeps {
  gauge: DiskGauge;
  limits: DiskLimits;
  images: { size(): Promise<number> };
  events: EventLog;
  warn: (message: string) => void;
}

/** @throws AegisError `disk_full` with next to no room left, for what would only be half there */
export function refuseFullDisk({ path, freeBytes, totalBytes }: DiskSpace): void {
  if (freeBytes >= Math.min(RESERVE_BYTES, totalBytes / 50)) return;
  throw new AegisError(
    "disk_full",
    `The disk is full: ${path} has only ${inMb(freeBytes)} left, so nothing new is begun. Free some space: ${WHAT_TO_DO}`,
  );
}

/** Looks after the room on the disks, and says when it becomes scarce and when that is over. */
export class DiskWatch {
  readonly #deps: DiskWatchDeps;
  #low = false;
  #measured: { at: number; freeBytes: number; usedBytes: number } | null = null;
  #measuring: Promise<void> | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: DiskWatchDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), LOOK_MS).unref();
    void this.look();
  }

  /** Settles when nothing is under way any more. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#measuring;
  }

  status(): DiskStatus {
    const { path, freeBytes, totalBytes } = this.#deps.gauge.space();
    const { budgetBytes } = this.#deps.limits;
    return {
      path,
      low: this.#low,
      free_bytes: freeBytes,
      floor_bytes: this.#floor(totalBytes),
      used_bytes: this.#measured?.usedBytes ?? null,
      budget_bytes: budgetBytes,
    };
  }

  /** Measures where that is due, and tells what has changed. */
  async look(): Promise<void> {
    try {
      if (this.#isDue()) await (this.#measuring ??= this.#measure().finally(() => (this.#measuring = null)));
      this.#judge();
    } catch (error) {
      this.#deps.warn(`the room on the disk could not be looked at: ${String(error)}`);
    }
  }

  #isDue(): boolean {
    if (this.#measured === null) return true;
    const age = Date.now() - this.#measured.at;
    const change = Math.abs(this.#deps.gauge.space().freeBytes - this.#measured.freeBytes);
    return age >= MEASURE_LATEST_MS || (age >= MEASURE_SOONEST_MS && change >= MEASURE_CHANGE_BYTES);
  }

  async #measure(): Promise<void> {
    const { gauge, images } = this.#deps;
    const usedBytes = (await gauge.measure()) + (await images.size());
    this.#measured = { at: Date.now(), freeBytes: gauge.space().freeBytes, usedBytes };
  }

  #judge(): void {
    const { low: _, ...status } = this.status();
    const scarce = isScarce(status, this.#low ? RELIEF : 0);
    if (scarce === this.#low) return;
    this.#low = scarce;
    if (scarce) this.#deps.events.emit({ type: "disk.low", ...status, advice: WHAT_TO_DO });
    else this.#deps.events.emit({ type: "disk.ok", ...status });
  }

  #floor(totalBytes: number): number {
    return this.#deps.limits.floorBytes ?? Math.min(DEFAULT_FLOOR_BYTES, Math.round(totalBytes / 10));
  }
}

/** @param relief part of a limit that there must be beyond it */
function isScarce(disk: Omit<DiskStatus, "low">, relief: number): boolean {
  const { used_bytes: used, budget_bytes: budget, free_bytes: free, floor_bytes: floor } = disk;
  const overBudget = budget !== null && used !== null && used > budget * (1 - relief);
  return overBudget || free < floor * (1 + relief);
}

const inMb = (bytes: number): string => `${Math.floor(bytes / MB)} MB`;

const WHAT_TO_DO =
  '"aegis image prune" removes unused images, "aegis instance prune" instances that were stopped long ago.';
