import { type AllowEntry, type NetworkPolicy, parseAllowEntry } from "@aegis/protocol/network";

/** Whose packets go over a link. */
export interface LinkOwner {
  instanceId: string;
  boot: number;
  network: NetworkPolicy;
}

/** How one boot of an instance is connected to the host. */
export interface InstanceLink extends LinkOwner {
  slot: number;
  address: string;
  /** of the host's end. It tells the rules the mode, and names no other boot unless the mode is `open` */
  interfaceName: string;
  /** what the mode `allowlist` lets through; empty in others */
  entries: readonly AllowEntry[];
}

export const isRestricted = ({ network }: Pick<LinkOwner, "network">): boolean => network.mode !== "open";

export const entriesOf = ({ mode, allow = [] }: NetworkPolicy): AllowEntry[] =>
  mode === "allowlist" ? allow.map(parseAllowEntry) : [];
