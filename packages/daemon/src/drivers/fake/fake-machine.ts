import type { Duplex } from "node:stream";
import { AegisError } from "@aegis/protocol/errors";
import type { InstanceStats } from "@aegis/protocol/instance";
import type { Machine, MachineExit, MachineSpec } from "../../core/driver.ts";
import { FakeHarness } from "./fake-harness.ts";
import { PauseGate } from "./pause-gate.ts";

const MB = 1024 * 1024;

/** What a test makes fail, and how. Each is thrown by the call of that name until it is set back to null. */
export interface FakeFaults {
  create: Error | null;
  pause: Error | null;
  resume: Error | null;
  kill: Error | null;
  dial: Error | null;
  remove: Error | null;
}

export class FakeMachine implements Machine {
  readonly spec: MachineSpec;
  readonly instanceId: string;
  readonly boot: number;
  readonly exited: Promise<MachineExit>;
  readonly harness: FakeHarness;
  readonly #faults: FakeFaults;
  readonly #onRemove: () => void;
  readonly #gate = new PauseGate();
  readonly #settle: (exit: MachineExit) => void;
  #outOfMemory = false;
  #alive = true;

  constructor(spec: MachineSpec, faults: FakeFaults, onRemove: () => void) {
    const { promise, resolve } = Promise.withResolvers<MachineExit>();
    this.spec = spec;
    this.instanceId = spec.instanceId;
    this.boot = spec.boot;
    this.exited = promise;
    this.harness = new FakeHarness(spec.hostname, this.#gate, () => this.exit());
    this.#faults = faults;
    this.#onRemove = onRemove;
    this.#settle = resolve;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** The machine ends by itself. */
  exit(how: Partial<MachineExit> = {}): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#outOfMemory ||= how.outOfMemory ?? false;
    this.harness.end();
    this.#gate.open();
    this.#settle({ outOfMemory: this.#outOfMemory });
  }

  /** The kernel kills a process of the machine for want of memory; the machine goes on. */
  killForMemory(): void {
    this.#outOfMemory = true;
  }

  async dial(signal?: AbortSignal): Promise<Duplex> {
    signal?.throwIfAborted();
    if (this.#faults.dial !== null) throw this.#faults.dial;
    if (!this.#alive) throw new AegisError("guest_unreachable", "The instance does not answer: its machine has ended.");
    return this.harness.dial();
  }

  async pause(): Promise<void> {
    if (this.#faults.pause !== null) throw this.#faults.pause;
    this.#gate.close();
  }

  async resume(): Promise<void> {
    if (this.#faults.resume !== null) throw this.#faults.resume;
    this.#gate.open();
  }

  async isPaused(): Promise<boolean> {
    return this.#alive && this.#gate.closed;
  }

  async kill(): Promise<void> {
    if (this.#faults.kill !== null) throw this.#faults.kill;
    this.exit();
    await this.exited;
  }

  async ranOutOfMemory(): Promise<boolean> {
    return this.#outOfMemory;
  }

  async remove(): Promise<void> {
    if (this.#faults.remove !== null) throw this.#faults.remove;
    this.#onRemove();
  }

  async stats(): Promise<InstanceStats> {
    return this.#alive
      ? { memory_bytes: 8 * MB, resident_bytes: 4 * MB, swapped_bytes: 0, cpu_ms: 10, processes: 2, disk_bytes: 8192 }
      : { memory_bytes: 0, resident_bytes: 0, swapped_bytes: 0, cpu_ms: 0, processes: 0, disk_bytes: 8192 };
  }
}
