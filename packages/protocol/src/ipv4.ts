/** An IPv4 network; `base` is its first address as a number. */
export interface Ipv4Network {
  base: number;
  prefix: number;
}

export function parseIpv4(text: string): number | null {
  const parts = text.split(".");
  if (parts.length !== 4 || parts.some((part) => !/^\d{1,3}$/.test(part) || Number(part) > 255)) return null;
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}

export const formatIpv4 = (address: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");

export const networkSize = (prefix: number): number => 2 ** (32 - prefix);

/** Reads `address/prefix`; null when malformed or when the address is not the first of its network. */
export function parseIpv4Network(text: string): Ipv4Network | null {
  const [address = "", prefixText = "", more] = text.split("/");
  const base = parseIpv4(address);
  const prefix = Number(prefixText);
  if (base === null || more !== undefined || !/^\d{1,2}$/.test(prefixText) || prefix > 32) return null;
  return base % networkSize(prefix) === 0 ? { base, prefix } : null;
}

export const formatIpv4Network = ({ base, prefix }: Ipv4Network): string => `${formatIpv4(base)}/${prefix}`;

export const overlaps = (a: Ipv4Network, b: Ipv4Network): boolean =>
  a.base < b.base + networkSize(b.prefix) && b.base < a.base + networkSize(a.prefix);

export const contains = (network: Ipv4Network, address: number): boolean =>
  address >= network.base && address < network.base + networkSize(network.prefix);

/** Never the open internet: this host, private and carrier networks, link-local (metadata), benchmarks, multicast. */
export const NEVER_OUTSIDE = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "224.0.0.0/4",
  "240.0.0.0/4",
] as const;

const neverOutside = NEVER_OUTSIDE.flatMap((text) => parseIpv4Network(text) ?? []);

/** True for an address that no network mode ever lets an instance reach. */
export const isNeverOutside = (address: number): boolean => neverOutside.some((network) => contains(network, address));
