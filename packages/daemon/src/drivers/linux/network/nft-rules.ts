import type { AddressBlock } from "./address-block.ts";
import { INTERFACE_PREFIX } from "./address-block.ts";
import { formatIpv4Network, NEVER_OUTSIDE, type Ipv4Network } from "@aegis/protocol/ipv4";

/** Always the same: with another the connections of a restricted boot would be strangers to the next daemon. */
const ZONE_SEED = "0x61656769";
/** until it is looked at, with time to spare */
const REFUSED_KEPT_S = 10;
/** what needs root runs as root */
const DAEMON_USER = 0;

const elements = (networks: readonly string[]): string =>
  networks.length === 0 ? "" : `elements = { ${networks.join(", ")} }`;

/** Keyed by the interface, so that what is of one instance means nothing for another. */
const sets = (neighbours: readonly Ipv4Network[]): string => `
  set never_outside {
    type ipv4_addr; flags interval; ${elements(NEVER_OUTSIDE)}
  }
  set neighbours {
    type ipv4_addr; flags interval; auto-merge; ${elements(neighbours.map(formatIpv4Network))}
  }
  set allowed_ports {
    type ifname . ipv4_addr . inet_service; flags timeout; size 262144;
  }
  set allowed_hosts {
    type ifname . ipv4_addr; flags timeout; size 262144;
  }
  set refused {
    typeof iifname . ip daddr . meta l4proto . th dport; flags dynamic,timeout; timeout ${REFUSED_KEPT_S}s; size 16384;
  }
  set refused_rate {
    type ifname; flags dynamic,timeout; timeout 1m; size 4096;
  }
  set dns_rate {
    type ifname; flags dynamic,timeout; timeout 1m; size 4096;
  }`;

/** What passes between an instance and the host itself. */
const hostChains = (block: AddressBlock, ours: string): string => `
  chain input {
    type filter hook input priority filter - 10; policy accept;
    iifname ${ours} udp dport 53 update @dns_rate { iifname limit rate over 500/second burst 1000 packets } drop
    iifname ${ours} ip daddr ${block.gateway} meta l4proto { tcp, udp } th dport 53 accept
    iifname ${ours} ct direction reply ct state established accept
    iifname ${ours} goto refuse
    ip daddr ${formatIpv4Network(block.network)} iifname != "lo" drop
  }
  chain output {
    type filter hook output priority filter - 10; policy accept;
    oifname ${ours} meta skuid != ${DAEMON_USER} reject with icmpx admin-prohibited
  }`;

/**
 * The whole policy of a block, the same for each of its instances, so that a boot changes no rule: the interface's name
 * tells the mode. Replaces an older table in one transaction; `carriedOver` fills the new one's sets.
 *
 * - A restricted boot has a connection table of its own, by its interface's name: a connection that an earlier owner of
 *   the address left half open is no way around the list.
 * - Questions to the name server are bounded, since they are answered by the daemon.
 * - The host itself reaches the ports of instances, and of its users only the daemon's, since a preview may have a password.
 * - TCP is refused with a reset since ICMP errors are rate-limited and a program would hang.
 * - What is refused is kept for a moment, for the daemon to tell: so much of each instance that none hides another's.
 */
export function nftRules(block: AddressBlock, neighbours: readonly Ipv4Network[], carriedOver = ""): string {
  const ours = `"${block.interfacePrefix}*"`;
  const restricted = `"${block.restrictedPrefix}*"`;
  const network = formatIpv4Network(block.network);
  return `
table inet ${block.tableName}
delete table inet ${block.tableName}
table inet ${block.tableName} {
${sets(neighbours)}
  chain prerouting {
    type filter hook prerouting priority raw; policy accept;
    iifname ${ours} meta nfproto ipv6 drop
    iifname ${ours} fib saddr . iif oif missing drop
    iifname ${restricted} ct original zone set jhash iifname mod 65535 seed ${ZONE_SEED} offset 1
  }
${hostChains(block, ours)}
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
    iifname ${restricted} goto listed
    accept
  }
  chain listed {
    meta l4proto != tcp goto refuse
    ct state established accept
    iifname . ip daddr . tcp dport @allowed_ports accept
    iifname . ip daddr @allowed_hosts accept
    goto refuse
  }
  chain refuse {
    update @refused_rate { iifname limit rate 5/second burst 20 packets } update @refused { iifname . ip daddr . meta l4proto . th dport }
    meta l4proto tcp reject with tcp reset
    reject with icmpx admin-prohibited
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${network} oifname != ${ours} masquerade
  }
}
${carriedOver}
`;
}

/** Replaces the networks that the host itself is part of. */
export function neighbourRules(block: AddressBlock, neighbours: readonly Ipv4Network[]): string {
  const set = `inet ${block.tableName} neighbours`;
  const add = neighbours.length === 0 ? "" : `add element ${set} { ${neighbours.map(formatIpv4Network).join(", ")} }\n`;
  return `flush set ${set}\n${add}`;
}
