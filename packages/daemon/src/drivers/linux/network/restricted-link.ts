import { type AllowEntry, entryNames } from "@aegis/protocol/network";
import type { RestrictedClient } from "../dns/listed-names.ts";
import type { AllowedAddresses } from "./allowed-addresses.ts";
import type { InstanceLink } from "./instance-link.ts";
import type { RefusalReports } from "./refusal-reports.ts";
import { REASONS } from "./refusal-watch.ts";

export interface RestrictedLinkParts {
  link: InstanceLink;
  allowed: AllowedAddresses;
  reports: RefusalReports;
  /** false for addresses that no mode opens */
  isOutside: (address: string) => boolean;
}

/** What names mean for an instance that does not have the whole internet. */
export class RestrictedLink implements RestrictedClient {
  readonly #parts: RestrictedLinkParts;

  constructor(parts: RestrictedLinkParts) {
    this.#parts = parts;
  }

  entriesFor(name: string): AllowEntry[] {
    return this.#parts.link.entries.filter((entry) => entryNames(entry, name));
  }

  async open(addresses: readonly string[], entries: readonly AllowEntry[]): Promise<string[]> {
    const { link, allowed, isOutside } = this.#parts;
    const ports = entries.some(({ port }) => port === null) ? [null] : entries.map(({ port }) => port);
    const targets = addresses
      .filter((address) => isOutside(address))
      .flatMap((address) => ports.map((port) => ({ address, port })));
    const opened = await allowed.allow(link, targets);
    return [...new Set(targets.filter((_, at) => opened[at] === true).map(({ address }) => address))];
  }

  refusedName(name: string): void {
    this.#refused(name, REASONS[this.#parts.link.network.mode]);
  }

  refusedAddresses(name: string): void {
    this.#refused(name, "its addresses are private, or too many");
  }

  #refused(destination: string, reason: string): void {
    this.#parts.reports.add(this.#parts.link, { destination, protocol: "dns", reason });
  }
}
