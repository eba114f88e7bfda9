import { join } from "node:path";
import { AegisError, messageOf } from "@aegis/protocol/errors";
import type { DriverName } from "@aegis/protocol/instance";
import type { DriverObserver, Machine, MachineSpec, NetworkRefusal } from "../../core/driver.ts";
import { Cgroup } from "./cgroup.ts";
import { diskFull } from "./disk-full.ts";
import type { DnsForwarder } from "./dns/dns-forwarder.ts";
import { startDns } from "./dns/start-dns.ts";
import { MAX_SOCKET_PATH } from "./harness-socket.ts";
import type { HostUser } from "./host-user.ts";
import { type BootPlace, type FoundMachine, MachinePlaces } from "./machine-places.ts";
import type { AddressBlock } from "./network/address-block.ts";
import { HostNetwork } from "./network/host-network.ts";
import { prepareHome, type PreparedHome } from "./prepare-home.ts";
import { runCommand } from "./run-command.ts";

export interface HomeOptions {
  /** `~/.aegis` */
  home: string;
  /** short name of the home, unique on the host: part of socket paths and control groups */
  homeKey: string;
  /** folder with `aegis-guest`, its loader in `lib/`, and `tini`; readable for everyone */
  harnessDir: string;
  /** the invoking user: what instances make in their workspaces belongs to it */
  owner: HostUser;
  /** where the operator learns what the driver could not do */
  log: (message: string) => void;
  /** private network that the homes of this host share; else `AEGIS_SUBNET`, else 10.209.0.0/16 */
  subnet?: string | undefined;
  /** names the host's resolvers */
  resolvConf?: string;
  /** for what lives until the host's next boot; short, since paths of sockets are limited */
  runDir?: string;
}

/** A machine whose processes are the host's. */
export interface LocalMachine extends Machine {
  /** known at once, while `exited` settles a moment later */
  readonly hasEnded: boolean;
  /** stops watching; the machine itself goes on */
  forget(): void;
}

interface Opened {
  places: MachinePlaces;
  dns: DnsForwarder;
}

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]*$/;
const RUN_DIR = "/run/aegis";
const CLAIMS_FOLDER = "net";
const RM_MS = 600_000;

/** Where what a home has on this host lies until the next boot. */
export const runFolderOf = ({ homeKey, runDir = RUN_DIR }: Pick<HomeOptions, "homeKey" | "runDir">): string =>
  join(runDir, homeKey);

/** The machines of a home on this host, whatever they are made of, and what they share: network, folders, control group. */
export class HomeMachines<M extends LocalMachine> {
  readonly #driver: DriverName;
  readonly #options: HomeOptions;
  readonly #longestSocket: string;
  readonly #runFolder: string;
  readonly #groupPath: string;
  readonly #network: HostNetwork;
  readonly #booting = new Set<string>();
  readonly #machines = new Map<string, M>();
  #opened: Opened | null = null;

  /** @param longestSocket in a boot's folder */
  constructor(driver: DriverName, options: HomeOptions, longestSocket: string) {
    if (!NAME.test(options.homeKey) || options.homeKey === CLAIMS_FOLDER)
      throw new Error(`"${options.homeKey}" cannot be a home key`);
    const runDir = options.runDir ?? RUN_DIR;
    this.#driver = driver;
    this.#options = options;
    this.#longestSocket = longestSocket;
    this.#runFolder = runFolderOf(options);
    this.#groupPath = `/aegis/${options.homeKey}`;
    this.#network = new HostNetwork({
      home: options.home,
      folder: join(runDir, CLAIMS_FOLDER),
      subnet: options.subnet ?? process.env["AEGIS_SUBNET"],
      log: options.log,
    });
  }

  /** `data` of the home */
  get data(): string {
    return join(this.#options.home, "data");
  }

  /** The folder of what an instance writes. */
  disk(instanceId: string): string {
    return join(this.data, "instances", instanceId, "disk");
  }

  /** @throws AegisError `driver_failed` that says what is missing */
  prepare(): Promise<PreparedHome> {
    const { harnessDir } = this.#options;
    return prepareHome({ driver: this.#driver, runFolder: this.#runFolder, groupPath: this.#groupPath, harnessDir });
  }

  /** From here on machines can be made. @throws AegisError `driver_failed` when there is no network for them */
  async open({ layout }: PreparedHome, observer?: DriverObserver): Promise<AddressBlock> {
    const tell = (refusal: NetworkRefusal): void => observer?.networkRefused(refusal);
    const places = new MachinePlaces(this.#runFolder, new Cgroup(layout, this.#groupPath), this.#network);
    const block = await this.#network.start(tell);
    const dns = await startDns(this.#network, this.#options.resolvConf).catch(async (error: unknown) => {
      await this.#network.close();
      await places.close();
      throw error;
    });
    this.#opened = { places, dns };
    return block;
  }

  /**
   * Makes a machine in a place of its own, of which nothing is left on failure or abort.
   * @param address that it is to have where nobody else has it
   * @throws AegisError `driver_failed`, `disk_full`, and what `boot` throws
   */
  async make(
    spec: MachineSpec,
    boot: (place: BootPlace, disk: string) => Promise<M>,
    signal?: AbortSignal,
    address: string | null = null,
  ): Promise<M> {
    signal?.throwIfAborted();
    const { places } = this.#running;
    const id = this.#checked(spec.instanceId);
    if (this.#booting.has(id) || this.#machines.has(id))
      throw new AegisError("driver_failed", `Instance ${id} already has a machine: remove that one first.`);
    this.#booting.add(id);
    try {
      await this.#network.refresh();
      const place = this.#tracked(id, await places.take(spec, address));
      const machine = await this.#inPlace(place, () => boot(place, this.disk(id))).catch((error: unknown) => {
        signal?.throwIfAborted();
        throw toAegisError(error);
      });
      this.#machines.set(id, machine);
      return machine;
    } finally {
      this.#booting.delete(id);
    }
  }

  async #inPlace(place: BootPlace, boot: () => Promise<M>): Promise<M> {
    try {
      await this.#network.openAddresses(place.link);
      return await boot();
    } catch (error) {
      await place.release();
      throw error;
    }
  }

  /** Takes up what an earlier daemon left, side by side. Of what cannot be taken up nothing is left, and the log says why. */
  async adopt(takeUp: (found: FoundMachine, disk: string) => Promise<M>): Promise<M[]> {
    const found = await this.#running.places.findLeft((id) => this.#machines.has(id) || this.#booting.has(id));
    const machines = await Promise.all(found.map((each) => this.#adoptOne(each, takeUp)));
    return machines.filter((machine) => machine !== null);
  }

  async #adoptOne(
    { record, place }: FoundMachine,
    takeUp: (found: FoundMachine, disk: string) => Promise<M>,
  ): Promise<M | null> {
    const id = record.instanceId;
    const tracked = this.#tracked(id, place);
    try {
      const { driver = "container" } = record;
      if (driver !== this.#driver) throw new Error(`it was made by the ${driver} driver, and this is ${this.#driver}`);
      const machine = await takeUp({ record, place: tracked }, this.disk(id));
      this.#machines.set(id, machine);
      return machine;
    } catch (error) {
      const why = messageOf(error);
      this.#options.log(
        `the machine of ${id} (process ${record.pid}) runs, but cannot be taken up again, and is ended: ${why}`,
      );
      await tracked.release();
      return null;
    }
  }

  /** No machine of the instance may be alive. Idempotent. */
  async discard(instanceId: string): Promise<void> {
    // Not Node's own rm: an instance can nest folders deeper than a path may be long, which rm copes with.
    await runCommand("rm", ["-rf", "--", this.disk(this.#checked(instanceId))], { timeoutMs: RM_MS });
  }

  /** Gives back what the home took from the host, as far as no machine needs it. Machines go on running. */
  async close(): Promise<void> {
    const opened = this.#opened;
    if (opened === null) return;
    this.#opened = null;
    await opened.dns.close();
    for (const machine of this.#machines.values()) {
      if (machine.hasEnded) await machine.remove();
      else machine.forget();
    }
    if (this.#machines.size > 0) return this.#network.letGo();
    await this.#network.close();
    await opened.places.close();
  }

  /** The same place, whose release also ends what is known of the machine. */
  #tracked(instanceId: string, place: BootPlace): BootPlace {
    const release = async (): Promise<void> => {
      await place.release();
      this.#machines.delete(instanceId);
    };
    return { ...place, release };
  }

  get #running(): Opened {
    if (this.#opened === null) throw new AegisError("driver_failed", `The ${this.#driver} driver is not started.`);
    return this.#opened;
  }

  #checked(instanceId: string): string {
    const path = join(this.#runFolder, instanceId, this.#longestSocket);
    if (!NAME.test(instanceId) || Buffer.byteLength(`${path}.new`) > MAX_SOCKET_PATH)
      throw new AegisError(
        "driver_failed",
        `"${instanceId}" cannot be the id of an instance: it is too long or has other characters than letters, digits, dots and dashes.`,
      );
    return instanceId;
  }
}

function toAegisError(error: unknown): unknown {
  if (error instanceof AegisError || !(error instanceof Error)) return error;
  if ("code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT")) return diskFull(error);
  return new AegisError("driver_failed", `The instance cannot start: ${error.message}`, { cause: error });
}
