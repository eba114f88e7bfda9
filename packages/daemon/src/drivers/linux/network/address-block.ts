import { AegisError } from "@aegis/protocol/errors";
import { contains, formatIpv4, networkSize, parseIpv4, parseIpv4Network, type Ipv4Network } from "@aegis/protocol/ipv4";

const BLOCK_PREFIX = 22;
const MAX_BLOCKS = 64;
export const DEFAULT_SUBNET = "10.209.0.0/16";
/** every block's interfaces start with this; no other program's should */
export const INTERFACE_PREFIX = "ag";

/** @throws AegisError `driver_failed` when the subnet cannot hold a block */
export function parseSubnet(text: string): Ipv4Network {
  const subnet = parseIpv4Network(text);
  if (subnet === null || subnet.prefix > BLOCK_PREFIX || subnet.prefix < 8)
    throw new AegisError(
      "driver_failed",
      `AEGIS_SUBNET is "${text}", but it must be an IPv4 network between /8 and /${BLOCK_PREFIX}, such as ${DEFAULT_SUBNET}.`,
    );
  return subnet;
}

export const blockCount = (subnet: Ipv4Network): number => Math.min(MAX_BLOCKS, 2 ** (BLOCK_PREFIX - subnet.prefix));

/** The addresses of one home: the gateway first, then one for each slot, which is one for each running instance. */
export class AddressBlock {
  readonly number: number;
  readonly network: Ipv4Network;

  constructor(subnet: Ipv4Network, number: number) {
    this.number = number;
    this.network = { base: subnet.base + number * networkSize(BLOCK_PREFIX), prefix: BLOCK_PREFIX };
  }

  get gateway(): string {
    return formatIpv4(this.network.base + 1);
  }

  get slots(): number {
    return networkSize(BLOCK_PREFIX) - 3;
  }

  get tableName(): string {
    return `aegis_${this.number}`;
  }

  /** with a star behind it, all interfaces of the block */
  get interfacePrefix(): string {
    return `${INTERFACE_PREFIX}${this.number}-`;
  }

  /** with a star behind it, the interfaces of instances that do not have the whole internet */
  get restrictedPrefix(): string {
    return `${this.interfacePrefix}r`;
  }

  /** @param mark at most four characters that tell this restricted boot from others; null for the mode `open` */
  interfaceName(slot: number, mark: string | null = null): string {
    return mark === null ? `${this.interfacePrefix}${slot}` : `${this.restrictedPrefix}${slot}-${mark}`;
  }

  /** The slot that an interface belongs to; null for one that is not of this block. */
  slotOf(interfaceName: string): number | null {
    if (!interfaceName.startsWith(this.interfacePrefix)) return null;
    const [, slot] = /^r?(\d+)(?:-[a-z0-9]+)?$/.exec(interfaceName.slice(this.interfacePrefix.length)) ?? [];
    return slot === undefined ? null : Number(slot);
  }

  address(slot: number): string {
    return formatIpv4(this.network.base + 2 + slot);
  }

  /** The slot that has an address; null for one that is not of this block. */
  slotAt(address: string): number | null {
    const slot = (parseIpv4(address) ?? 0) - this.network.base - 2;
    return slot >= 0 && slot < this.slots ? slot : null;
  }

  contains(address: string): boolean {
    const number = parseIpv4(address);
    return number !== null && contains(this.network, number);
  }
}
