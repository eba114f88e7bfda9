import { setTimeout } from "node:timers/promises";
import { dirname, join } from "node:path";
import type { Duplex } from "node:stream";
import { AegisError } from "@aegis/protocol/errors";
import type { InstanceStats } from "@aegis/protocol/instance";
import type { MachineExit } from "../../core/driver.ts";
import type { Cgroup } from "../linux/cgroup.ts";
import { diskImageBytes } from "../linux/disk-image.ts";
import { DirectPorts } from "../linux/direct-ports.ts";
import { ExitWatch } from "../linux/exit-watch.ts";
import type { LocalMachine } from "../linux/home-machines.ts";
import type { MachineRecord } from "../linux/machine-record.ts";
import type { GuestAgent } from "./guest-agent.ts";
import { hibernateMachine } from "./hibernation.ts";
import { memoryOf, sockets } from "./qemu-process.ts";
import type { QmpClient } from "./qmp-client.ts";
import { SerialChannel } from "./serial-channel.ts";
import { type BootFacts, snapshotFolder } from "./snapshot-store.ts";

export interface MicrovmParts {
  record: MachineRecord;
  cgroup: Cgroup;
  /** of the boot */
  folder: string;
  /** what has to be the same when it is taken up again */
  facts: BootFacts;
  /** of the instance, IPv4 */
  address: string;
  /** QEMU's, on the host */
  user: number;
  diskImage: string;
  monitor: QmpClient;
  agent: GuestAgent;
  /** takes back what the host holds for the boot */
  release: () => Promise<void>;
}

const KILL_LOOK_MS = 3;
/** A clock that is late by less is not set: a step backwards would be worse. */
const CLOCK_SLACK_MS = 1000;
const RUNNING = new Set(["running", "prelaunch"]);

/** One virtual machine. Its life is QEMU's. */
export class MicrovmMachine implements LocalMachine {
  readonly instanceId: string;
  readonly boot: number;
  readonly exited: Promise<MachineExit>;
  readonly #parts: MicrovmParts;
  readonly #watch: ExitWatch;
  readonly #ports: DirectPorts;
  #channel: Promise<SerialChannel> | null = null;
  #isPaused: boolean;
  /** in ms since the epoch; of a machine that was adopted, nobody knows */
  #pausedAt = 0;
  #gone: MachineExit | null = null;
  #released: Promise<void> | null = null;

  /** @param isPaused as the monitor said */
  constructor(parts: MicrovmParts, isPaused: boolean) {
    this.instanceId = parts.record.instanceId;
    this.boot = parts.record.boot;
    this.#parts = parts;
    this.#isPaused = isPaused;
    this.#watch = new ExitWatch(parts.record, parts.cgroup.eventsFile);
    this.exited = this.#watch.exited.then(() => this.#exit());
    this.#ports = new DirectPorts(parts.address, this.exited);
  }

  async dial(signal?: AbortSignal): Promise<Duplex> {
    signal?.throwIfAborted();
    if (this.#gone !== null || this.#released !== null) throw unreachable();
    const channel = await (this.#channel ??= this.#connect());
    signal?.throwIfAborted();
    return channel.dial(signal);
  }

  /** A connection to a machine that stands still waits in its network device, and is there when it goes on. */
  dialPort(port: number, signal?: AbortSignal): Promise<Duplex | null> {
    return this.#ports.dial(port, signal);
  }

  /** One that broke is made again when somebody asks. */
  #connect(): Promise<SerialChannel> {
    const connecting = SerialChannel.connect(sockets(this.#parts.folder).harness);
    const forget = (): void => {
      if (this.#channel === connecting) this.#channel = null;
    };
    connecting.then((channel) => void channel.closed.then(forget), forget);
    return connecting;
  }

  /** What it wrote is on its disk before it stands still, since its memory may come to nothing; a guest that takes seconds is not waited for. */
  async pause(): Promise<void> {
    if (this.#isPaused || this.#gone !== null) return;
    await this.#parts.agent.settle();
    await this.#parts.monitor.execute("stop");
    this.#isPaused = true;
    this.#pausedAt = Date.now();
  }

  async resume(): Promise<void> {
    if (!this.#isPaused || this.#gone !== null) return;
    await this.#parts.monitor.execute("cont");
    this.#isPaused = false;
    if (Date.now() - this.#pausedAt > CLOCK_SLACK_MS) void this.#parts.agent.setClock();
  }

  /** Lets go of what can be read again, before it is written down to be taken up often. */
  async shed(): Promise<void> {
    await this.#parts.agent.shed();
  }

  async isPaused(): Promise<boolean> {
    return this.#gone === null && this.#isPaused;
  }

  /** What it wrote is on its disk before it ends; one that stands still is not woken for that. */
  async kill(): Promise<void> {
    if (this.#gone === null && !this.#isPaused) await this.#parts.agent.settle();
    await this.#end();
  }

  async #end(): Promise<void> {
    while (this.#gone === null) {
      await this.#parts.cgroup.kill();
      await Promise.race([this.exited, setTimeout(KILL_LOOK_MS).then(() => this.#watch.look())]);
    }
  }

  async hibernate(key: Uint8Array, signal: AbortSignal): Promise<void> {
    if (!(await this.isPaused()))
      throw new AegisError("driver_failed", "Only a paused instance can be hibernated: pause it first.");
    const { folder, user, monitor, diskImage, facts, record } = this.#parts;
    const parts = {
      monitor,
      socketPath: join(folder, "devices.sock"),
      user,
      memory: memoryOf(record.pid, folder),
      diskImage,
      snapshot: snapshotFolder(dirname(diskImage)),
      facts,
      end: () => this.#end(),
    };
    await hibernateMachine(parts, key, this.instanceId, signal);
  }

  async ranOutOfMemory(): Promise<boolean> {
    if (this.#gone !== null) return this.#gone.outOfMemory;
    const { agent } = this.#parts;
    return (this.#isPaused ? agent.counts : await agent.readCounts()).outOfMemoryKills > 0;
  }

  remove(): Promise<void> {
    this.forget();
    this.#released ??= this.#parts.release();
    return this.#released;
  }

  /** Known at once, while {@link exited} settles a moment later. */
  get hasEnded(): boolean {
    return this.#gone !== null;
  }

  async stats(): Promise<InstanceStats> {
    const { agent, cgroup, diskImage } = this.#parts;
    const [host, { processes }] = await Promise.all([
      cgroup.stats(),
      this.#isPaused ? agent.counts : agent.readCounts(),
    ]);
    return { ...host, ...(processes > 0 ? { processes } : {}), disk_bytes: await diskImageBytes(diskImage) };
  }

  /** Stops watching; the machine itself goes on. */
  forget(): void {
    this.#watch.close();
    this.#parts.monitor.close();
    this.#parts.agent.close();
    void this.#channel?.then(
      (channel) => channel.close(),
      () => undefined,
    );
  }

  async #exit(): Promise<MachineExit> {
    const { outOfMemoryKills, refusedProcesses } = this.#parts.agent.counts;
    this.#gone = { outOfMemory: outOfMemoryKills > 0, ...(refusedProcesses > 0 ? { outOfProcesses: true } : {}) };
    return this.#gone;
  }
}

/** @returns whether the machine stands still */
export async function readPaused(monitor: QmpClient): Promise<boolean> {
  const answer = (await monitor.execute("query-status")) as { status?: unknown };
  return !RUNNING.has(String(answer.status));
}

const unreachable = (): AegisError =>
  new AegisError("guest_unreachable", "The instance does not answer: its machine is gone. Start the instance again.");
