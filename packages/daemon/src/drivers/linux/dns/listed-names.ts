import type { AllowEntry } from "@aegis/protocol/network";
import { decode, encode, type Packet } from "dns-packet";
import { isCut, localAnswer, parseQuery, readQuestion, type DnsQuery } from "./dns-message.ts";
import { askOverTcp, askOverUdp, type ResolverAddress } from "./dns-upstream.ts";

/** An instance that may ask for some names only. */
export interface RestrictedClient {
  /** @param name lower case, without a dot at its end */
  entriesFor(name: string): readonly AllowEntry[];
  /** Opens the addresses in the rules. @returns those that are open */
  open(addresses: readonly string[], entries: readonly AllowEntry[]): Promise<string[]>;
  refusedName(name: string): void;
  refusedAddresses(name: string): void;
}

const TYPE_A = 1;
const CLASS_IN = 1;
const MAX_ALIASES = 8;
const MAX_QUESTIONS = 4;
const MAX_ADDRESSES = 32;
const RECURSION_DESIRED = 0x100;
/** Addresses stay open for longer than this. */
const MAX_TTL_S = 3600;

interface Found {
  rcode: "NOERROR" | "NXDOMAIN";
  addresses: string[];
  ttl: number;
}

/**
 * Answers for restricted instances. Nothing of a question goes to the outside but a name that is allowed, in lower case
 * and in a question of our own. NXDOMAIN for all others: programs believe it at once, while REFUSED makes some of them
 * try again and wait.
 */
export class ListedNames {
  readonly #resolvers: () => Promise<ResolverAddress[]>;

  constructor(resolvers: () => Promise<ResolverAddress[]>) {
    this.#resolvers = resolvers;
  }

  async answer(query: DnsQuery, client: RestrictedClient): Promise<Buffer> {
    const { name, text, type, class: family } = readQuestion(query.question);
    const entries = name === null || family !== CLASS_IN ? [] : client.entriesFor(name);
    if (name === null || entries.length === 0) {
      client.refusedName(text);
      return localAnswer(query, "NXDOMAIN");
    }
    if (type !== TYPE_A) return localAnswer(query, "NOERROR");
    const found = await this.#look(name);
    if (found === null) return localAnswer(query, "SERVFAIL");
    if (found.addresses.length === 0) return localAnswer(query, found.rcode);
    const open = await client.open(found.addresses, entries).catch(() => null);
    if (open === null) return localAnswer(query, "SERVFAIL");
    if (open.length === 0) client.refusedAddresses(name);
    return localAnswer(query, "NOERROR", open, found.ttl);
  }

  /** Follows aliases wherever they lead: what the name stands for is its owner's to say. Null when nobody answers. */
  async #look(name: string): Promise<Found | null> {
    let at = name;
    let ttl = MAX_TTL_S;
    for (let questions = 0; questions < MAX_QUESTIONS; questions++) {
      const packet = await this.#ask(at);
      if (packet === null) return null;
      const step = follow(packet, at);
      ttl = Math.min(ttl, step.ttl);
      const rcode = "rcode" in packet && packet.rcode === "NXDOMAIN" ? "NXDOMAIN" : "NOERROR";
      if (step.addresses.length > 0 || step.at === at || rcode === "NXDOMAIN")
        return { rcode, addresses: step.addresses.slice(0, MAX_ADDRESSES), ttl };
      at = step.at;
    }
    return { rcode: "NOERROR", addresses: [], ttl: 0 };
  }

  async #ask(name: string): Promise<Packet | null> {
    const questions = [{ type: "A" as const, name, class: "IN" as const }];
    const query = parseQuery(encode({ type: "query", flags: RECURSION_DESIRED, questions }));
    if (query === null) return null;
    for (const server of await this.#resolvers()) {
      const short = await askOverUdp(server, query);
      const answer = short !== null && isCut(short) ? await askOverTcp(server, query) : short;
      const packet = answer === null ? null : usable(answer);
      if (packet !== null) return packet;
    }
    return null;
  }
}

/** @returns null for a server's failure, and for what does not decode */
function usable(answer: Buffer): Packet | null {
  try {
    const packet: Packet & { rcode?: string } = decode(answer);
    return packet.rcode === "NOERROR" || packet.rcode === "NXDOMAIN" ? packet : null;
  } catch {
    // A resolver that talks nonsense is as good as none.
    return null;
  }
}

/** From a name along its aliases, as far as one answer tells them. */
function follow(packet: Packet, name: string): { at: string; addresses: string[]; ttl: number } {
  let at = name;
  let ttl = MAX_TTL_S;
  for (let aliases = 0; aliases < MAX_ALIASES; aliases++) {
    const own = (packet.answers ?? []).filter((record) => record.name.toLowerCase() === at);
    const addresses = own.flatMap((record) => (record.type === "A" ? [record] : []));
    for (const address of addresses) ttl = Math.min(ttl, address.ttl ?? 0);
    if (addresses.length > 0) return { at, addresses: addresses.map(({ data }) => data), ttl };
    const alias = own.find((record) => record.type === "CNAME");
    if (alias?.type !== "CNAME") return { at, addresses: [], ttl };
    ttl = Math.min(ttl, alias.ttl ?? 0);
    at = alias.data.toLowerCase();
  }
  return { at: name, addresses: [], ttl: 0 };
}
