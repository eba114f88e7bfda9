import { parseIpv4 } from "@aegis/protocol/ipv4";
import { runCommand } from "../run-command.ts";
import type { AddressBlock } from "./address-block.ts";
import type { InstanceLink } from "./instance-link.ts";
import { listSet, type NftElement } from "./nft-set.ts";

/** TCP at one port of an address; null is every port. */
export interface AllowedTarget {
  address: string;
  port: number | null;
}

/** Longer than any program is told to remember an address (`MAX_TTL_S`), and an hour for those that do not listen. */
const LIFETIME_S = 7200;
/** one that is named again is renewed when it is this old: most answers then cost no change of the rules */
const RENEW_AFTER_MS = 1_200_000;
const MAX_TARGETS = 256;

const PORTS = "allowed_ports";
const HOSTS = "allowed_hosts";
const SETS = [PORTS, HOSTS] as const;

interface Held {
  target: AllowedTarget;
  /** when it was last renewed, in ms; null for one that stays as long as the link */
  renewedAt: number | null;
}

interface Change {
  interfaceName: string;
  target: AllowedTarget;
  /** null for an element that stays, 0 for one that goes */
  seconds: number | null;
}

/**
 * The addresses that restricted instances reach: sets in the rules, keyed by the interface, whose name no other boot
 * has. So what one leaves behind means nothing to the next, and the book here is only for bounds and renewal.
 */
export class AllowedAddresses {
  readonly #block: AddressBlock;
  readonly #now: () => number;
  readonly #held = new Map<string, Map<string, Held>>();
  readonly #waiting: Change[] = [];
  #running: Promise<void> = Promise.resolve();
  #coming: Promise<void> | null = null;

  constructor(block: AddressBlock, now: () => number) {
    this.#block = block;
    this.#now = now;
  }

  /**
   * Reads what an older table of the block holds.
   * @returns the same as commands for a new table, to be part of the transaction that replaces the old one
   */
  async carryOver(): Promise<string> {
    const lines: string[] = [];
    for (const set of SETS)
      for (const element of await listSet(this.#block.tableName, set).catch(() => [])) {
        const found = this.#read(element);
        if (found === null || element.expires === 0) continue;
        const { interfaceName, target } = found;
        const renewedAt = element.expires === null ? null : this.#now() - (LIFETIME_S - element.expires) * 1000;
        this.#book(interfaceName).set(keyOf(target), { target, renewedAt });
        lines.push(`add ${this.#element(interfaceName, target, element.expires)}`);
      }
    return lines.join("\n");
  }

  /** Drops what belongs to no link any more. */
  async keepOnly(links: Iterable<InstanceLink>): Promise<void> {
    const names = new Set([...links].map(({ interfaceName }) => interfaceName));
    for (const name of this.#held.keys()) if (!names.has(name)) await this.forget(name);
  }

  /**
   * Opens targets for a link; once this has settled they are open.
   * @returns false for each that is one too many
   * @throws AegisError `driver_failed`, and then none was opened
   */
  async allow(link: InstanceLink, targets: readonly AllowedTarget[], forGood = false): Promise<boolean[]> {
    const book = this.#book(link.interfaceName);
    const now = this.#now();
    for (const [key, { renewedAt }] of book)
      if (renewedAt !== null && now - renewedAt > LIFETIME_S * 1000) book.delete(key);
    const opened = targets.map((target) => {
      const key = keyOf(target);
      const held = book.get(key);
      if (held === undefined && book.size >= MAX_TARGETS) return false;
      if (held !== undefined && (held.renewedAt === null || now - held.renewedAt < RENEW_AFTER_MS)) return true;
      book.set(key, { target, renewedAt: forGood ? null : now });
      this.#waiting.push({ interfaceName: link.interfaceName, target, seconds: forGood ? null : LIFETIME_S });
      return true;
    });
    await this.#flush();
    return opened;
  }

  /** The boot is over. */
  async forget(interfaceName: string): Promise<void> {
    const book = this.#held.get(interfaceName);
    if (book === undefined) return;
    this.#held.delete(interfaceName);
    for (const { target } of book.values()) this.#waiting.push({ interfaceName, target, seconds: 0 });
    await this.#flush();
  }

  #book(interfaceName: string): Map<string, Held> {
    const book = this.#held.get(interfaceName) ?? new Map<string, Held>();
    this.#held.set(interfaceName, book);
    return book;
  }

  /** One program at a time: what comes meanwhile goes with the next, so that a flood of questions starts few. */
  #flush(): Promise<void> {
    // What is asked for again may be on its way just now.
    if (this.#waiting.length === 0) return this.#running;
    this.#coming ??= this.#runNext();
    return this.#coming;
  }

  async #runNext(): Promise<void> {
    await this.#running.catch(() => undefined);
    this.#coming = null;
    this.#running = this.#run(this.#waiting.splice(0));
    try {
      await this.#running;
    } finally {
      this.#running = Promise.resolve();
    }
  }

  async #run(changes: Change[]): Promise<void> {
    try {
      await runCommand("nft", ["-f", "-"], { input: changes.map((change) => this.#command(change)).join("\n") });
    } catch (error) {
      for (const { interfaceName, target } of changes) this.#held.get(interfaceName)?.delete(keyOf(target));
      throw error;
    }
  }

  /**
   * An element that is there keeps its time-out when it is added again, so it is deleted first; and to delete one that
   * is not there is an error, so it is added before that.
   */
  #command({ interfaceName, target, seconds }: Change): string {
    const element = this.#element(interfaceName, target, null);
    const gone = `add ${element}\ndelete ${element}`;
    return seconds === 0 ? gone : `${gone}\nadd ${this.#element(interfaceName, target, seconds)}`;
  }

  #element(interfaceName: string, { address, port }: AllowedTarget, seconds: number | null): string {
    const key = `"${interfaceName}" . ${address}${port === null ? "" : ` . ${port}`}`;
    const timeout = seconds === null ? "" : ` timeout ${seconds}s`;
    return `element inet ${this.#block.tableName} ${port === null ? HOSTS : PORTS} { ${key}${timeout} }`;
  }

  #read({ key }: NftElement): { interfaceName: string; target: AllowedTarget } | null {
    const [name, address, port = null] = key;
    if (typeof name !== "string" || this.#block.slotOf(name) === null) return null;
    if (typeof address !== "string" || parseIpv4(address) === null || typeof port === "string") return null;
    return { interfaceName: name, target: { address, port } };
  }
}

const keyOf = ({ address, port }: AllowedTarget): string => `${address}:${port ?? ""}`;
