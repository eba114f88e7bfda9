import { setTimeout } from "node:timers/promises";
import type { Duplex } from "node:stream";
import type { InstanceStats } from "@aegis/protocol/instance";
import type { MachineExit, ReclaimOutcome } from "../../core/driver.ts";
import type { Cgroup } from "../linux/cgroup.ts";
import { DirectPorts } from "../linux/direct-ports.ts";
import { ExitWatch } from "../linux/exit-watch.ts";
import { dialHarness } from "../linux/harness-socket.ts";
import type { LocalMachine } from "../linux/home-machines.ts";
import type { MachineRecord } from "../linux/machine-record.ts";
import type { SwappedMemory } from "./swapped-memory.ts";

export interface ContainerMachineParts {
  record: MachineRecord;
  cgroup: Cgroup;
  socketPath: string;
  /** IPv4 */
  address: string;
  /** what its disk takes of the host's; null where the disk has no bound of its own */
  diskBytes: () => Promise<number | null>;
  swapped: SwappedMemory;
  /** takes back what the host holds for the boot: network, control groups, boot files */
  release: () => Promise<void>;
}

const KILL_LOOK_MS = 3;

export class ContainerMachine implements LocalMachine {
  readonly instanceId: string;
  readonly boot: number;
  readonly exited: Promise<MachineExit>;
  readonly #parts: ContainerMachineParts;
  readonly #watch: ExitWatch;
  readonly #ports: DirectPorts;
  #gone: MachineExit | null = null;
  #released: Promise<void> | null = null;

  constructor(parts: ContainerMachineParts) {
    this.instanceId = parts.record.instanceId;
    this.boot = parts.record.boot;
    this.#parts = parts;
    this.#watch = new ExitWatch(parts.record, parts.cgroup.eventsFile);
    this.exited = this.#watch.exited.then(() => this.#exit());
    this.#ports = new DirectPorts(parts.address, this.exited);
  }

  dial(signal?: AbortSignal): Promise<Duplex> {
    return dialHarness(this.#parts.socketPath, signal);
  }

  dialPort(port: number, signal?: AbortSignal): Promise<Duplex | null> {
    return this.#ports.dial(port, signal);
  }

  async pause(): Promise<void> {
    await this.#parts.cgroup.freeze();
  }

  async resume(): Promise<void> {
    await this.#parts.cgroup.thaw();
    this.#parts.swapped.takeBack();
  }

  async isPaused(): Promise<boolean> {
    return this.#gone === null && (await this.#parts.cgroup.isFrozen());
  }

  async kill(): Promise<void> {
    while (this.#gone === null) {
      await this.#parts.cgroup.kill();
      await Promise.race([this.exited, setTimeout(KILL_LOOK_MS).then(() => this.#watch.look())]);
    }
  }

  async ranOutOfMemory(): Promise<boolean> {
    return this.#gone?.outOfMemory ?? (await this.#parts.cgroup.outOfMemoryKills()) > 0;
  }

  remove(): Promise<void> {
    this.#released ??= this.#parts.release();
    return this.#released;
  }

  /** Known at once, while {@link exited} settles a moment later. */
  get hasEnded(): boolean {
    return this.#gone !== null;
  }

  async stats(): Promise<InstanceStats> {
    return { ...(await this.#parts.cgroup.stats()), disk_bytes: await this.#parts.diskBytes() };
  }

  reclaim(signal: AbortSignal): Promise<ReclaimOutcome> {
    return this.#parts.swapped.giveBack(signal);
  }

  /** Stops watching; the machine itself goes on. */
  forget(): void {
    this.#parts.swapped.stop();
    this.#watch.close();
  }

  async #exit(): Promise<MachineExit> {
    this.#parts.swapped.stop();
    const outOfMemory = (await this.#parts.cgroup.outOfMemoryKills()) > 0;
    const outOfProcesses = (await this.#parts.cgroup.refusedProcesses()) > 0;
    this.#gone = { outOfMemory, ...(outOfProcesses ? { outOfProcesses } : {}) };
    return this.#gone;
  }
}
