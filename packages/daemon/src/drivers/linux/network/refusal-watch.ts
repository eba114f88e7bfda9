import { readFileSync } from "node:fs";
import { isNeverOutside, parseIpv4 } from "@aegis/protocol/ipv4";
import type { InstanceLink } from "./instance-link.ts";
import { listSet, type NftElement } from "./nft-set.ts";
import type { Refusal, RefusalReports } from "./refusal-reports.ts";

export interface RefusalWatchOptions {
  table: string;
  links: () => Iterable<InstanceLink>;
  reports: RefusalReports;
  log: (message: string) => void;
}

const LOOK_MS = 2000;

/** Packets that came from each interface, from the text of `/proc/net/dev`. */
export function parseReceived(text: string): Map<string, string> {
  const received = new Map<string, string>();
  for (const line of text.split("\n").slice(2)) {
    const [name, , packets] = line.trim().split(/:?\s+/);
    if (name !== undefined && packets !== undefined) received.set(name, packets);
  }
  return received;
}

/**
 * Reads from the rules which packets were refused. It asks them only when an instance has sent something since the last
 * look: idle and paused instances cost one small file, however many they are.
 */
export class RefusalWatch {
  readonly #options: RefusalWatchOptions;
  readonly #timer: NodeJS.Timeout;
  #received = new Map<string, string>();
  #ended = new Set<InstanceLink>();
  #looking: Promise<void> = Promise.resolve();

  constructor(options: RefusalWatchOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.look(), LOOK_MS).unref();
  }

  /** The link is gone, but the next look may still tell of it. */
  ended(link: InstanceLink): void {
    this.#ended.add(link);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.look();
  }

  /** Never rejects. One look at a time. */
  look(): Promise<void> {
    this.#looking = this.#looking
      .then(() => this.#look())
      .catch((error: unknown) => {
        this.#options.log(`what the network refused could not be read: ${String(error)}`);
      });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const { links, reports, table } = this.#options;
    const ended = this.#ended;
    const known = new Map([...ended, ...links()].map((link) => [link.interfaceName, link]));
    if (known.size > 0 && (this.#haveSent(known) || ended.size > 0)) {
      this.#ended = new Set();
      for (const element of await listSet(table, "refused")) {
        const link = known.get(String(element.key[0]));
        if (link !== undefined) reports.add(link, toRefusal(link, element));
      }
      for (const link of ended) reports.end(link);
    }
    reports.tick();
  }

  /** Reads in this thread: the thread pool would take twice the time of it, every other second. */
  #haveSent(known: ReadonlyMap<string, InstanceLink>): boolean {
    const before = this.#received;
    this.#received = parseReceived(readFileSync("/proc/net/dev", "utf8"));
    return [...known.keys()].some((name) => (this.#received.get(name) ?? "0") !== (before.get(name) ?? "0"));
  }
}

function toRefusal({ network }: InstanceLink, { key }: NftElement): Refusal {
  const [, address = "", protocol = "", port = ""] = key.map(String);
  const named = protocol === "tcp" || protocol === "udp" || protocol === "icmp" ? protocol : "other";
  const destination = named === "tcp" || named === "udp" ? `${address}:${port}` : address;
  const special = isNeverOutside(parseIpv4(address) ?? 0);
  return { destination, protocol: named, reason: special ? ALWAYS : REASONS[network.mode] };
}

const ALWAYS = "the host, private networks and other instances are out of reach in every mode";

export const REASONS = {
  open: "the address is the host's own or in a network that the host is part of",
  allowlist: "not on the allowlist",
  none: 'the network mode is "none"',
} as const;
