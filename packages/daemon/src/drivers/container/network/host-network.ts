import { mkdir } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import { exists } from "../cgroup-layout.ts";
import { runCommand } from "../run-command.ts";
import { AddressBlock, blockCount, DEFAULT_SUBNET, parseSubnet } from "./address-block.ts";
import { BlockClaims } from "./block-claim.ts";
import { boundNameServers } from "./bound-name-servers.ts";
import { readNeighbours } from "./host-routes.ts";
import { IpForward } from "./ip-forward.ts";
import { formatIpv4Network, overlaps, type Ipv4Network } from "@aegis/protocol/ipv4";
import { neighbourRules, nftRules } from "./nft-rules.ts";

export interface HostNetworkOptions {
  home: string;
  /** shared by all homes of the host */
  folder: string;
  subnet?: string | undefined;
}

const GONE_LOOKS = 100;

/** One home's part of the host's network: an address block, a gateway address, a table of rules, slots for instances. */
export class HostNetwork {
  readonly #home: string;
  readonly #subnet: Ipv4Network;
  readonly #claims: BlockClaims;
  readonly #forward: IpForward;
  readonly #folder: string;
  readonly #slots = new Set<number>();
  #block: AddressBlock | null = null;
  #neighbours = "";

  constructor(options: HostNetworkOptions) {
    this.#home = options.home;
    this.#folder = options.folder;
    this.#subnet = parseSubnet(options.subnet ?? DEFAULT_SUBNET);
    this.#claims = new BlockClaims(options.folder);
    this.#forward = new IpForward(options.folder);
  }

  get block(): AddressBlock {
    if (this.#block === null) throw new Error("the network was not started");
    return this.#block;
  }

  async start(): Promise<AddressBlock> {
    await mkdir(this.#folder, { recursive: true });
    const bound = await boundNameServers();
    const isBusy = (number: number): boolean => bound.has(new AddressBlock(this.#subnet, number).gateway);
    const number = await this.#claims.claim(this.#home, blockCount(this.#subnet), isBusy);
    const block = new AddressBlock(this.#subnet, number);
    this.#block = block;
    const neighbours = await this.#readNeighbours(block);
    await runCommand("nft", ["-f", "-"], { input: nftRules(block, neighbours) });
    this.#neighbours = JSON.stringify(neighbours);
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
    const seen = JSON.stringify(neighbours);
    if (seen === this.#neighbours) return;
    await runCommand("nft", ["-f", "-"], { input: neighbourRules(this.block, neighbours) });
    this.#neighbours = seen;
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

  /** @throws AegisError `driver_failed` when every address is taken */
  async takeSlot(): Promise<number> {
    for (let slot = 0; slot < this.block.slots; slot++) {
      if (this.#slots.has(slot)) continue;
      this.#slots.add(slot);
      if (!(await this.#interfaceExists(slot))) return slot;
      this.#slots.delete(slot);
    }
    throw new AegisError(
      "driver_failed",
      `All ${this.block.slots} instance addresses of this home are in use. Stop an instance.`,
    );
  }

  /** Marks the slot of a machine that already runs. */
  keepSlot(slot: number): void {
    this.#slots.add(slot);
  }

  /** The kernel takes an interface away some time after its namespace's last process; this does not wait for that. */
  async releaseSlot(slot: number): Promise<void> {
    const name = this.block.interfaceName(slot);
    if (await this.#interfaceExists(slot))
      await runCommand("ip", ["link", "delete", name]).catch(async (error: unknown) => {
        for (let looks = 0; await this.#interfaceExists(slot); looks++) {
          if (looks === GONE_LOOKS) throw error;
          await setTimeout(10);
        }
      });
    this.#slots.delete(slot);
  }

  #interfaceExists(slot: number): Promise<boolean> {
    return exists(join("/sys/class/net", this.block.interfaceName(slot)));
  }

  /** Gives everything back; no machine of the home may be alive. */
  async close(): Promise<void> {
    const block = this.#block;
    if (block === null) return;
    this.#block = null;
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
