import { readFile } from "node:fs/promises";

const DNS_PORT = "0035";

/** IPv4 addresses whose UDP port 53 somebody has, from the text of `/proc/net/udp` (addresses in host byte order, hex). */
export function parseBoundNameServers(procNetUdp: string): Set<string> {
  const bound = new Set<string>();
  for (const line of procNetUdp.split("\n").slice(1)) {
    const [, hex, port] = /^\s*\d+: ([0-9A-F]{8}):([0-9A-F]{4}) /.exec(line) ?? [];
    if (hex === undefined || port !== DNS_PORT) continue;
    bound.add([6, 4, 2, 0].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)).join("."));
  }
  return bound;
}

/** A daemon whose home was deleted under it has no claim any more, but still has its gateway. */
export const boundNameServers = async (): Promise<Set<string>> =>
  parseBoundNameServers(await readFile("/proc/net/udp", "utf8"));
