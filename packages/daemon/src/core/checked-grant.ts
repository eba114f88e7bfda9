import type { Capabilities } from "@aegis/protocol/capability";
import { formatAllowEntry, parseAllowEntry } from "@aegis/protocol/network";

/**
 * A grant as it is stored: what it says of the network is checked and in one spelling.
 * @throws AegisError `invalid_request` that names the entry
 */
export function checkedGrant(asked: Capabilities = {}): Capabilities {
  const { allowed_network } = asked;
  if (allowed_network === undefined) return asked;
  const entries = allowed_network.map((entry) => (entry === "*" ? entry : formatAllowEntry(parseAllowEntry(entry))));
  return { ...asked, allowed_network: [...new Set(entries)] };
}
