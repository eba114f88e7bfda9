import type { AddressBlock } from "./address-block.ts";
import { INTERFACE_PREFIX } from "./address-block.ts";
import { formatIpv4Network, NEVER_OUTSIDE, type Ipv4Network } from "@aegis/protocol/ipv4";

const elements = (networks: readonly string[]): string =>
  networks.length === 0 ? "" : `elements = { ${networks.join(", ")} }`;

/**
 * The whole policy of a block, the same for each of its instances, so that a boot changes no rule. Replaces an older
 * table in one transaction. TCP is refused with a reset since ICMP errors are rate-limited and a program would hang.
 */
export function nftRules(block: AddressBlock, neighbours: readonly Ipv4Network[]): string {
  const ours = `"${block.interfacePrefix}*"`;
  const network = formatIpv4Network(block.network);
  return `
table inet ${block.tableName}
delete table inet ${block.tableName}
table inet ${block.tableName} {
  set never_outside {
    type ipv4_addr; flags interval; ${elements(NEVER_OUTSIDE)}
  }
  set neighbours {
    type ipv4_addr; flags interval; auto-merge; ${elements(neighbours.map(formatIpv4Network))}
  }
  chain prerouting {
    type filter hook prerouting priority raw; policy accept;
    iifname ${ours} meta nfproto ipv6 drop
    iifname ${ours} fib saddr . iif oif missing drop
  }
  chain input {
    type filter hook input priority filter - 10; policy accept;
    iifname ${ours} ip daddr ${block.gateway} meta l4proto { tcp, udp } th dport 53 accept
    iifname ${ours} goto refuse
    ip daddr ${network} iifname != "lo" drop
  }
  chain forward {
    type filter hook forward priority filter - 10; policy accept;
    oifname ${ours} ct state established,related accept
    iifname ${ours} goto egress
    oifname ${ours} drop
  }
  chain egress {
    oifname "${INTERFACE_PREFIX}*" goto refuse
    ip daddr @never_outside goto refuse
    ip daddr @neighbours goto refuse
    fib daddr type != unicast goto refuse
    accept
  }
  chain refuse {
    meta l4proto tcp reject with tcp reset
    reject with icmpx admin-prohibited
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${network} oifname != ${ours} masquerade
  }
}
`;
}

/** Replaces the networks that the host itself is part of. */
export function neighbourRules(block: AddressBlock, neighbours: readonly Ipv4Network[]): string {
  const set = `inet ${block.tableName} neighbours`;
  const add = neighbours.length === 0 ? "" : `add element ${set} { ${neighbours.map(formatIpv4Network).join(", ")} }\n`;
  return `flush set ${set}\n${add}`;
}
