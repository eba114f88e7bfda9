import { AegisError, messageOf } from "@aegis/protocol/errors";
import type { HostNetwork } from "../network/host-network.ts";
import { DnsForwarder } from "./dns-forwarder.ts";
import { UpstreamResolvers } from "./upstream-resolvers.ts";

/**
 * The name server of a home's instances, on their gateway.
 * @param resolvConf names the host's resolvers
 * @throws AegisError `driver_failed` when it cannot listen there
 */
export async function startDns(network: HostNetwork, resolvConf = "/etc/resolv.conf"): Promise<DnsForwarder> {
  const { gateway } = network.block;
  const resolvers = new UpstreamResolvers(resolvConf);
  const dns = new DnsForwarder({
    address: gateway,
    client: (address) => network.clientAt(address),
    resolvers: () => resolvers.list(),
  });
  await dns.start().catch((error: unknown) => {
    const why = messageOf(error);
    throw new AegisError("driver_failed", `The instances' name server cannot listen on ${gateway}: ${why}.`);
  });
  return dns;
}
