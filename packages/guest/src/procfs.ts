const ESTABLISHED = "01";
const MAPPED_IPV4 = "0000000000000000FFFF0000";
const LOOPBACK_IPV6 = "00000000000000000000000001000000";

/** The gateway of the default route in /proc/net/route, as /proc/net/tcp writes addresses; null when there is none. */
export function defaultGateway(table: string): string | null {
  const route = table.split("\n").find((row) => row.split(/\s+/)[1] === "00000000");
  return route?.split(/\s+/)[2] ?? null;
}

/**
 * Established connections of a /proc/net/tcp or tcp6 whose peer is elsewhere than on loopback.
 * @param host the address of the host, as {@link defaultGateway} gives it: what comes from there, the host counts itself
 */
export function countRemotePeers(table: string, host: string | null): number {
  let count = 0;
  for (const row of table.split("\n").slice(1)) {
    const [, , remote, state] = row.trim().split(/\s+/);
    const address = remote?.split(":")[0];
    if (state !== ESTABLISHED || address === undefined) continue;
    if (!isLoopback(address) && ipv4Of(address) !== host) count += 1;
  }
  return count;
}

/** Addresses are 32-bit words in the machine's byte order, little-endian on all that we run on. */
function isLoopback(address: string): boolean {
  if (address === LOOPBACK_IPV6) return true;
  const ipv4 = ipv4Of(address);
  return ipv4.length === 8 && ipv4.endsWith("7F");
}

const ipv4Of = (address: string): string =>
  address.startsWith(MAPPED_IPV4) ? address.slice(MAPPED_IPV4.length) : address;

export interface CpuTicks {
  /** of the process itself, dead threads included */
  own: number;
  /** of its children that ended and were waited for */
  children: number;
}

/** From /proc/PID/stat; null when the text is none. The name in it may hold blanks and brackets. */
export function parseCpuTicks(stat: string): CpuTicks | null {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [user, system, childUser, childSystem] = fields.slice(11, 15).map(Number);
  if (user === undefined || system === undefined || childUser === undefined || childSystem === undefined) return null;
  const ticks = { own: user + system, children: childUser + childSystem };
  return Number.isFinite(ticks.own + ticks.children) ? ticks : null;
}

/** Bytes in and out of all interfaces but loopback, from /proc/net/dev. */
export function sumNetBytes(table: string): number {
  let bytes = 0;
  for (const row of table.split("\n")) {
    const colon = row.indexOf(":");
    if (colon === -1 || row.slice(0, colon).trim() === "lo") continue;
    const fields = row
      .slice(colon + 1)
      .trim()
      .split(/\s+/)
      .map(Number);
    bytes += (fields[0] ?? 0) + (fields[8] ?? 0);
  }
  return bytes;
}

/** The largest mapping of code of /proc/PID/maps, null when there is none. */
export function largestCodeMapping(maps: string): { start: bigint; end: bigint } | null {
  let largest: { start: bigint; end: bigint } | null = null;
  for (const [, from, to] of maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) r-xp .* \//gm)) {
    const mapping = { start: BigInt(`0x${from}`), end: BigInt(`0x${to}`) };
    if (largest === null || mapping.end - mapping.start > largest.end - largest.start) largest = mapping;
  }
  return largest;
}
