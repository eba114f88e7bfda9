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
  hibernate: Error | null;
  /** as if what was written were of no use */
  restore: Error | null;
}

/** What a machine leaves on disk: all that runs in it, standing still. */
export interface FakeSnapshot {
  harness: FakeHarness;
  key: Uint8Array;
}

export interface FakeMachineParts {
  faults: FakeFaults;
  onRemove: () => void;
  /** null where the backend cannot hibernate */
  write: ((snapshot: FakeSnapshot, signal: AbortSignal) => Promise<void>) | null;
  /** what goes on in it; a new one boots */
  harness?: FakeHarness;
}

export class FakeMachine implements Machine {
  readonly spec: MachineSpec;
  readonly instanceId: string;
  readonly boot: number;
  readonly exited: Promise<MachineExit>;
  readonly harness: FakeHarness;
  readonly #faults: FakeFaults;
  readonly #onRemove: () => void;
  readonly #gate: PauseGate;
  readonly hibernate?: (key: Uint8Array, signal: AbortSignal) => Promise<void>;
  readonly #settle: (exit: MachineExit) => void;
  #outOfMemory = false;
  #alive = true;

  constructor(spec: MachineSpec, { faults, onRemove, write, harness }: FakeMachineParts) {
    const { promise, resolve } = Promise.withResolvers<MachineExit>();
    this.spec = spec;
    this.instanceId = spec.instanceId;
    this.boot = spec.boot;
    this.exited = promise;
    this.harness = harness ?? new FakeHarness(spec.hostname, new PauseGate());
    this.harness.onExit = () => this.exit();
    this.#gate = this.harness.gate;
    if (write !== null) this.hibernate = (key, signal) => this.#hibernate(write, key, signal);
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

  async dialPort(port: number, signal?: AbortSignal): Promise<Duplex | null> {
    signal?.throwIfAborted();
    return this.#alive ? this.harness.dialPort(port) : null;
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

  async #hibernate(write: NonNullable<FakeMachineParts["write"]>, key: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#faults.hibernate !== null) throw this.#faults.hibernate;
    if (!this.#alive || !this.#gate.closed)
      throw new AegisError("driver_failed", `${this.instanceId} cannot be hibernated: it is not paused.`);
    await write({ harness: this.harness, key }, signal);
    // aborted or ended meanwhile: nothing has changed hands yet
    signal.throwIfAborted();
    if (!this.#alive) throw new AegisError("driver_failed", `${this.instanceId} has ended.`);
    this.#alive = false;
    this.harness.onExit = () => undefined;
    this.harness.endStreams();
    this.#settle({ outOfMemory: this.#outOfMemory });
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
