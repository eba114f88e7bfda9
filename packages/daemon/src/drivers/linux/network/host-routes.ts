import { readFile } from "node:fs/promises";
import { INTERFACE_PREFIX } from "./address-block.ts";
import type { Ipv4Network } from "@aegis/protocol/ipv4";

/** A route this wide is a tunnel's way to everything, not a network of neighbours. */
const SHORTEST_NEIGHBOUR_PREFIX = 8;

/** The kernel prints addresses as the number that their bytes make on a little-endian machine. */
const fromHex = (text: string): number => Buffer.from(text, "hex").reverse().readUInt32BE();

const prefixOf = (mask: number): number => mask.toString(2).replaceAll("0", "").length;

/** Reads `/proc/net/route`: the networks that the host reaches without a router. */
export function parseNeighbours(table: string): Ipv4Network[] {
  const networks: Ipv4Network[] = [];
  for (const line of table.split("\n").slice(1)) {
    const [device, destination, gateway, , , , , mask] = line.split("\t");
    if (device === undefined || destination === undefined || mask === undefined) continue;
    if (gateway !== "00000000" || device.startsWith(INTERFACE_PREFIX)) continue;
    const network = { base: fromHex(destination), prefix: prefixOf(fromHex(mask)) };
    if (network.prefix >= SHORTEST_NEIGHBOUR_PREFIX) networks.push(network);
  }
  return networks;
}

export const readNeighbours = async (): Promise<Ipv4Network[]> =>
  parseNeighbours(await readFile("/proc/net/route", "utf8").catch(() => ""));
