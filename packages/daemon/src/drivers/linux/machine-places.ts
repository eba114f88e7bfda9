import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { AegisError } from "@aegis/protocol/errors";
import { endBoots } from "./boot-leftovers.ts";
import type { Cgroup } from "./cgroup.ts";
import { readMachineRecord, type MachineRecord } from "./machine-record.ts";
import type { HostNetwork } from "./network/host-network.ts";
import type { InstanceLink, LinkOwner } from "./network/instance-link.ts";
import { hostBootId, isAlive } from "./process-identity.ts";

/** Where one boot happens, and how its traces go away again. */
export interface BootPlace {
  folder: string;
  link: InstanceLink;
  cgroup: Cgroup;
  /** ends what still runs there and takes everything back; idempotent */
  release: () => Promise<void>;
}

export interface FoundMachine {
  record: MachineRecord;
  place: BootPlace;
}

const KILL_LOOKS = 1000;
const KILL_LOOK_MS = 10;

/** Keeps the host's side of all boots of a home: a folder, a control group and a network slot for each. */
export class MachinePlaces {
  readonly #runFolder: string;
  readonly #group: Cgroup;
  readonly #network: HostNetwork;

  constructor(runFolder: string, group: Cgroup, network: HostNetwork) {
    this.#runFolder = runFolder;
    this.#group = group;
    this.#network = network;
  }

  /** @param address as {@link HostNetwork.takeLink} takes it */
  async take(owner: LinkOwner, address: string | null = null): Promise<BootPlace> {
    return this.#place(await this.#network.takeLink(owner, address));
  }

  #place(link: InstanceLink): BootPlace {
    const { instanceId } = link;
    const folder = join(this.#runFolder, instanceId);
    const cgroup = this.#group.child(instanceId);
    const release = async (): Promise<void> => {
      await endAll(cgroup);
      await this.#network.releaseLink(link);
      await cgroup.remove();
      await rm(folder, { recursive: true, force: true });
    };
    return { folder, link, cgroup, release };
  }

  /** What an earlier daemon left: machines that run are returned, remains of others removed. */
  async findLeft(isKnown: (instanceId: string) => boolean): Promise<FoundMachine[]> {
    await endBoots(this.#runFolder);
    const names = new Set([...(await readdir(this.#runFolder).catch(() => [])), ...(await this.#group.children())]);
    const found: FoundMachine[] = [];
    for (const name of names) {
      if (isKnown(name)) continue;
      const record = await readMachineRecord(join(this.#runFolder, name));
      if (record !== null && record.instanceId === name && (await stillRuns(record))) {
        found.push({ record, place: this.#place(this.#network.keepLink(record)) });
      } else await this.#sweep(name);
    }
    await this.#network.dropStrangers();
    return found;
  }

  async #sweep(name: string): Promise<void> {
    const cgroup = this.#group.child(name);
    await endAll(cgroup);
    await cgroup.remove();
    await rm(join(this.#runFolder, name), { recursive: true, force: true });
  }

  /** Removes the folders that all boots share; none may be left. */
  async close(): Promise<void> {
    await rm(this.#runFolder, { recursive: true, force: true });
    await this.#group.removeIfEmpty();
  }
}

const stillRuns = async (record: MachineRecord): Promise<boolean> =>
  record.hostBootId === (await hostBootId()) && (await isAlive(record));

async function endAll(cgroup: Cgroup): Promise<void> {
  for (let looks = 0; (await cgroup.processes()).length > 0; looks++) {
    if (looks === KILL_LOOKS)
      throw new AegisError(
        "driver_failed",
        `Processes in the control group ${cgroup.path} do not end. A restart of the host helps.`,
      );
    await cgroup.kill();
    await setTimeout(KILL_LOOK_MS);
  }
}
