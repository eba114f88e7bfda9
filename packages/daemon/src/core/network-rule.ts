import { covers, networkCovers, OPEN_NETWORK } from "@aegis/protocol/network";
import type { NetworkPolicy } from "@aegis/protocol/network";

/** The entry of `allowed_network` that is everything, mode `open` included. */
const ANY = "*";

/** The most that a list allows: what a child gets that names no network. */
export function widestNetwork(allowed: readonly string[]): NetworkPolicy {
  if (allowed.includes(ANY)) return OPEN_NETWORK;
  return allowed.length === 0 ? { mode: "none" } : { mode: "allowlist", allow: [...allowed] };
}

export const networkAllowed = (allowed: readonly string[], wanted: NetworkPolicy): boolean =>
  networkCovers(widestNetwork(allowed), wanted);

/** True when `outer` allows every network that `inner` allows. */
export const networksCover = (outer: readonly string[], inner: readonly string[]): boolean =>
  outer.includes(ANY) || (!inner.includes(ANY) && covers(outer, inner));
