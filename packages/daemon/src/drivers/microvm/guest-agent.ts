import { randomBytes } from "node:crypto";
import net from "node:net";
import { createInterface } from "node:readline";

/** How often the kernel inside killed or refused something; as the guest tells it. */
export interface GuestCounts {
  outOfMemoryKills: number;
  refusedProcesses: number;
}

const NOTHING: GuestCounts = { outOfMemoryKills: 0, refusedProcesses: 0 };
/** A guest that is that slow is not waited for: what it could tell is no reason to hang. */
const ANSWER_MS = 5_000;
const MAX_LINE = 4096;
const SEED_BYTES = 64;

/**
 * The host's line to the scripts that keep a virtual machine (packages/guest/vm). They run outside of the instance, but
 * in the same kernel: what they say is believed of their own instance only.
 */
export class GuestAgent {
  readonly #socket: net.Socket;
  readonly #waiting = new Map<string, (answer: string) => void>();
  #wishes = 0;
  #counts = NOTHING;
  #failure: string | null = null;

  constructor(path: string) {
    this.#socket = net.connect({ path });
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", () => this.#settleAll());
    const lines = createInterface({ input: this.#socket });
    lines.on("error", () => undefined);
    lines.on("line", (line) => this.#take(line.slice(0, MAX_LINE)));
  }

  /** what the last boot failed of, if it said so */
  get failure(): string | null {
    return this.#failure;
  }

  /** as it was told last */
  get counts(): GuestCounts {
    return this.#counts;
  }

  /** After a pause the guest's clock is where it stood. To the second: its `date` knows no parts of one. */
  setClock(now: Date): void {
    void this.#wish(`clock ${Math.round(now.getTime() / 1000)}`);
  }

  /** After a restore it is at another place, at another time, and must not draw the numbers that it drew before. */
  async renew(address: string, gateway: string, now: Date): Promise<void> {
    this.setClock(now);
    void this.#wish(`seed ${randomBytes(SEED_BYTES).toString("hex")}`);
    await this.#wish(`network ${address} ${gateway}`);
  }

  /** Asks anew; the last answer where none comes. */
  async readCounts(): Promise<GuestCounts> {
    const answer = await this.#wish("memory");
    if (answer.startsWith("ok ")) this.#note(answer.slice(3));
    return this.#counts;
  }

  close(): void {
    this.#socket.destroy();
  }

  #wish(text: string): Promise<string> {
    const id = String(++this.#wishes);
    const { promise, resolve } = Promise.withResolvers<string>();
    this.#waiting.set(id, resolve);
    const timer = setTimeout(() => resolve(""), ANSWER_MS);
    this.#socket.write(`${id} ${text}\n`);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#waiting.delete(id);
    });
  }

  #take(line: string): void {
    const [first = "", ...rest] = line.split(" ");
    const text = rest.join(" ");
    if (first === "exited") this.#note(text);
    else if (first === "failed:") this.#failure = text;
    else this.#waiting.get(first)?.(text);
  }

  #note(text: string): void {
    const [kills, refused] = text.split(" ").map(Number);
    this.#counts = { outOfMemoryKills: kills || 0, refusedProcesses: refused || 0 };
  }

  #settleAll(): void {
    for (const settle of this.#waiting.values()) settle("");
  }
}
