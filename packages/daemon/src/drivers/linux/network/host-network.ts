import { mkdir, readdir } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import { AegisError } from "@aegis/protocol/errors";
import { OPEN_NETWORK } from "@aegis/protocol/network";
import type { NetworkRefusal } from "../../../core/driver.ts";
import { exists } from "../cgroup-layout.ts";
import type { RestrictedClient } from "../dns/listed-names.ts";
import type { MachineRecord } from "../machine-record.ts";
import { runCommand } from "../run-command.ts";
import { AddressBlock, blockCount, DEFAULT_SUBNET, parseSubnet } from "./address-block.ts";
import { AllowedAddresses } from "./allowed-addresses.ts";
import { BlockClaims } from "./block-claim.ts";
import { boundNameServers } from "./bound-name-servers.ts";
import { readNeighbours } from "./host-routes.ts";
import { IpForward } from "./ip-forward.ts";
import {
  contains,
  formatIpv4Network,
  isNeverOutside,
  overlaps,
  parseIpv4,
  type Ipv4Network,
} from "@aegis/protocol/ipv4";
import { entriesOf, isRestricted, type InstanceLink, type LinkOwner } from "./instance-link.ts";
import { neighbourRules, nftRules } from "./nft-rules.ts";
import { RefusalReports } from "./refusal-reports.ts";
import { RefusalWatch } from "./refusal-watch.ts";
import { RestrictedLink } from "./restricted-link.ts";
import { Slots } from "./slots.ts";

export interface HostNetworkOptions {
  home: string;
  /** shared by all homes of the host */
  folder: string;
  subnet?: string | undefined;
  log: (message: string) => void;
}

interface Started {
  block: AddressBlock;
  slots: Slots;
  allowed: AllowedAddresses;
  reports: RefusalReports;
  watch: RefusalWatch;
}

const INTERFACES = "/sys/class/net";
const GONE_LOOKS = 100;

/** One home's part of the host's network: an address block, a gateway address, a table of rules, slots for instances. */
export class HostNetwork {
  readonly #home: string;
  readonly #subnet: Ipv4Network;
  readonly #claims: BlockClaims;
  readonly #forward: IpForward;
  readonly #folder: string;
  readonly #log: (message: string) => void;
  /** by address, both of them */
  readonly #links = new Map<string, InstanceLink>();
  readonly #clients = new Map<string, "open" | RestrictedClient>();
  #started: Started | null = null;
  #neighbours: Ipv4Network[] = [];

  constructor(options: HostNetworkOptions) {
    this.#home = options.home;
    this.#folder = options.folder;
    this.#log = options.log;
    this.#subnet = parseSubnet(options.subnet ?? DEFAULT_SUBNET);
    this.#claims = new BlockClaims(options.folder);
    this.#forward = new IpForward(options.folder);
  }

  get block(): AddressBlock {
    return this.#running.block;
  }

  get #running(): Started {
    if (this.#started === null) throw new Error("the network was not started");
    return this.#started;
  }

  /** @param onRefusal told of what instances tried and may not, each destination once a minute */
  async start(onRefusal: (refusal: NetworkRefusal) => void): Promise<AddressBlock> {
    await mkdir(this.#folder, { recursive: true });
    const bound = await boundNameServers();
    const isBusy = (number: number): boolean => bound.has(new AddressBlock(this.#subnet, number).gateway);
    const number = await this.#claims.claim(this.#home, blockCount(this.#subnet), isBusy);
    const block = new AddressBlock(this.#subnet, number);
    this.#neighbours = await this.#readNeighbours(block);
    const allowed = new AllowedAddresses(block, () => performance.now());
    const rules = nftRules(block, this.#neighbours, await allowed.carryOver());
    await runCommand("nft", ["-f", "-"], { input: rules });
    const reports = new RefusalReports(onRefusal, () => performance.now());
    const watch = new RefusalWatch({
      table: block.tableName,
      links: () => this.#links.values(),
      reports,
      log: this.#log,
    });
    this.#started = { block, slots: new Slots(block), allowed, reports, watch };
    await runCommand("ip", [
      "address",
      "replace",
      `${block.gateway}/32`,
      "dev",
      "lo",
      "label",
      `lo:${block.tableName}`,
    ]);
    await this.#forward.on();
    return block;
  }

  /** Networks may have come since the start: a VPN, a second card. */
  async refresh(): Promise<void> {
    const neighbours = await readNeighbours();
    if (JSON.stringify(neighbours) === JSON.stringify(this.#neighbours)) return;
    await runCommand("nft", ["-f", "-"], { input: neighbourRules(this.block, neighbours) });
    this.#neighbours = neighbours;
  }

  async #readNeighbours(block: AddressBlock): Promise<Ipv4Network[]> {
    const neighbours = await readNeighbours();
    const clash = neighbours.find((network) => overlaps(network, block.network));
    if (clash !== undefined) {
      await this.#claims.release(this.#home);
      throw new AegisError(
        "driver_failed",
        `The instances' addresses (${formatIpv4Network(block.network)}) overlap with a network of this host (${formatIpv4Network(clash)}). Set AEGIS_SUBNET to a free private network and start again.`,
      );
    }
    return neighbours;
  }

  /**
   * @param address that it is to have where nobody else has it
   * @throws AegisError `driver_failed` when every address is taken
   */
  async takeLink(owner: LinkOwner, address: string | null = null): Promise<InstanceLink> {
    const slot = await this.#running.slots.take(address === null ? null : this.block.slotAt(address));
    const mark = isRestricted(owner) ? newMark() : null;
    return this.#link(slot, this.block.interfaceName(slot, mark), owner);
  }

  /** Opens the addresses that a link's policy names; to be called before anything sends over it. */
  async openAddresses(link: InstanceLink): Promise<void> {
    const targets = link.entries.filter(({ kind }) => kind === "address");
    if (targets.length === 0) return;
    await this.#running.allowed.allow(
      link,
      targets.map(({ host, port }) => ({ address: host, port })),
      true,
    );
  }

  /** The link of a machine that already runs. */
  keepLink({ slot, interfaceName, instanceId, boot, network = OPEN_NETWORK }: MachineRecord): InstanceLink {
    this.#running.slots.keep(slot);
    return this.#link(slot, interfaceName ?? this.block.interfaceName(slot), { instanceId, boot, network });
  }

  /**
   * Forgets what was open for machines that are gone, and takes away interfaces that nobody has: also those of a home
   * that had the block before and was removed while it ran. Once every machine that runs has its link.
   */
  async dropStrangers(): Promise<void> {
    await this.#running.allowed.keepOnly(this.#links.values());
    const kept = new Set([...this.#links.values()].map(({ interfaceName }) => interfaceName));
    for (const name of await readdir(INTERFACES)) {
      if (!name.startsWith(this.block.interfacePrefix) || kept.has(name)) continue;
      // the kernel may be taking it away just then
      await runCommand("ip", ["link", "delete", name]).catch(() => undefined);
    }
  }

  /** Who asks the name server; null for everybody but instances. */
  clientAt(address: string): "open" | RestrictedClient | null {
    return this.#clients.get(address) ?? null;
  }

  #link(slot: number, interfaceName: string, owner: LinkOwner): InstanceLink {
    const { instanceId, boot, network } = owner;
    const address = this.block.address(slot);
    const link = { instanceId, boot, network, slot, interfaceName, address, entries: entriesOf(network) };
    const { allowed, reports } = this.#running;
    const isOutside = (target: string): boolean => this.#isOutside(target);
    this.#links.set(address, link);
    this.#clients.set(address, isRestricted(link) ? new RestrictedLink({ link, allowed, reports, isOutside }) : "open");
    return link;
  }

  #isOutside(address: string): boolean {
    const number = parseIpv4(address);
    return number !== null && !isNeverOutside(number) && !this.#neighbours.some((network) => contains(network, number));
  }

  /** The kernel takes an interface away some time after its namespace's last process; this does not wait for that. */
  async releaseLink(link: InstanceLink): Promise<void> {
    const { slots, allowed, watch } = this.#running;
    const { interfaceName } = link;
    if (await interfaceExists(interfaceName))
      await runCommand("ip", ["link", "delete", interfaceName]).catch(async (error: unknown) => {
        for (let looks = 0; await interfaceExists(interfaceName); looks++) {
          if (looks === GONE_LOOKS) throw error;
          await setTimeout(10);
        }
      });
    if (this.#links.get(link.address) !== link) return;
    this.#links.delete(link.address);
    this.#clients.delete(link.address);
    watch.ended(link);
    slots.release(link.slot);
    // What stays open is open for an interface that never comes back.
    await allowed.forget(interfaceName).catch((error: unknown) => this.#log(String(error)));
  }

  /** Stops watching; the rules stay as they are. */
  async letGo(): Promise<void> {
    await this.#started?.watch.close();
  }

  /** Gives everything back; no machine of the home may be alive. */
  async close(): Promise<void> {
    const started = this.#started;
    if (started === null) return;
    const { block } = started;
    await this.letGo();
    this.#started = null;
    await runCommand("nft", ["-f", "-"], {
      input: `table inet ${block.tableName}\ndelete table inet ${block.tableName}\n`,
    });
    await runCommand("ip", ["address", "delete", `${block.gateway}/32`, "dev", "lo"]).catch(() => undefined);
    await this.#claims.release(this.#home);
    if (await this.#claims.inUse()) return;
    await this.#forward.restore();
    // Another home may have come in between, and found forwarding on.
    if (await this.#claims.inUse()) await this.#forward.on();
  }
}

const interfaceExists = (name: string): Promise<boolean> => exists(join(INTERFACES, name));

/** Four characters, as many as a name of 15 has room for. */
const newMark = (): string => (randomBytes(4).readUInt32BE() % 36 ** 4).toString(36).padStart(4, "0");
