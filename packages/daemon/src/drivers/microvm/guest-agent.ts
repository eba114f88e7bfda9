import { randomBytes } from "node:crypto";
import net from "node:net";
import { AegisError } from "@aegis/protocol/errors";
import { LineSplitter } from "@aegis/protocol/line-splitter";

/** How often the kernel inside killed or refused something; as the guest tells it. */
export interface GuestCounts {
  outOfMemoryKills: number;
  refusedProcesses: number;
  /** that it has, threads included; 0 where it does not say */
  processes: number;
}

const NOTHING: GuestCounts = { outOfMemoryKills: 0, refusedProcesses: 0, processes: 0 };
/** A guest that is that slow is not waited for: what it could tell is no reason to hang. */
const ANSWER_MS = 5_000;
const MAX_LINE_BYTES = 4096;
/** What it may say without being asked: that it failed, that processes were refused, that the instance has ended. */
const UNASKED_LINES = 16;
/** for what takes longer, such as the first answer of a machine that was just taken up: others may slow it down many times */
const LONG_MS = 60_000;
const SEED_BYTES = 64;
const NAME_BYTES = 4;
const CLOCK_LOOKS = 5;
/** what `Date` tells apart */
const CLOCK_TICK_MS = 1;
const TIME = /^ok (\d{1,20})$/;

/** What makes one machine differ from the others that were taken up from the same snapshot. */
export interface GuestIdentity {
  hostname: string;
  address: string;
  gateway: string;
}

/**
 * The host's line to what keeps a virtual machine (packages/guest/vm/agent.pl). It runs outside of the instance, but in the
 * same kernel: what it says is believed of its own instance only, and one that says more than it was asked for is
 * listened to no more.
 */
export class GuestAgent {
  readonly #socket: net.Socket;
  readonly #lines = new LineSplitter(MAX_LINE_BYTES);
  readonly #waiting = new Map<string, (answer: string) => void>();
  #allowedLines = UNASKED_LINES;
  /** so that an answer to an earlier daemon, which the guest still holds, is none to this one */
  readonly #name = randomBytes(NAME_BYTES).toString("hex");
  #wishes = 0;
  #counts = NOTHING;
  #failure: string | null = null;

  constructor(path: string) {
    this.#socket = net.connect({ path });
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", () => this.#settleAll());
    this.#socket.on("data", (chunk) => this.#receive(chunk));
  }

  /** what the last boot failed of, if it said so */
  get failure(): string | null {
    return this.#failure;
  }

  /** as it was told last */
  get counts(): GuestCounts {
    return this.#counts;
  }

  /** Settles once it answers, with the instance's network in place, or does not within the limit. */
  async ready(limitMs: number): Promise<void> {
    await this.#wish("time", limitMs);
  }

  /**
   * After a pause the guest's clock is where it stood. It is asked for its time and told by how much to step, so that of what
   * the ways take only half counts, and only a clock that is certainly wrong is touched.
   * @param answerMs how long a guest may take for an answer: one that takes longer keeps the time that it has
   */
  async setClock(answerMs = LONG_MS): Promise<void> {
    for (let looks = 0; looks < CLOCK_LOOKS; looks++) {
      const [asked, began] = [Date.now(), performance.now()];
      const guest = TIME.exec(await this.#wish("time", answerMs))?.[1];
      if (guest === undefined) return;
      const halfWayMs = (performance.now() - began) / 2;
      const offMs = asked + halfWayMs - Number(BigInt(guest) / 1000n) / 1000;
      if (Math.abs(offMs) > halfWayMs + CLOCK_TICK_MS) await this.#wish(`step ${Math.round(offMs * 1000)}000`);
      else if (halfWayMs < CLOCK_TICK_MS) return;
    }
  }

  /**
   * After a restore it is at another place under a name of its own, and must not draw the numbers that it drew before. May
   * be asked for before the machine runs: then it does nothing else first. @throws AegisError `driver_failed`
   */
  async become({ hostname, address, gateway }: GuestIdentity): Promise<void> {
    const seed = randomBytes(SEED_BYTES).toString("hex");
    const answer = await this.#wish(`become ${seed} ${hostname} ${address} ${gateway}`, LONG_MS);
    if (okText(answer) !== null) return;
    const why = answer === "" ? "it does not answer" : answer;
    throw new AegisError("driver_failed", `The virtual machine cannot be given its name and address: ${why}.`);
  }

  /** Before it is written down to be taken up often: lets go of what can be read again. */
  async shed(): Promise<void> {
    await this.#wish("shed", LONG_MS);
  }

  /** Asks anew; the last answer where none comes. */
  async readCounts(): Promise<GuestCounts> {
    const answer = await this.#wish("memory");
    const text = okText(answer);
    if (text !== null) this.#note(text);
    return this.#counts;
  }

  /** Has the guest write to its disk what it only holds in memory. Waited for as long as for any answer. */
  async settle(): Promise<void> {
    await this.#wish("settle");
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(chunk: Uint8Array): void {
    try {
      for (const line of this.#lines.push(chunk)) {
        if (--this.#allowedLines < 0) throw new RangeError("more lines than it was asked for");
        this.#take(line);
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.close();
    }
  }

  /** @returns nothing where no answer comes */
  async #wish(text: string, limitMs = ANSWER_MS): Promise<string> {
    if (this.#socket.destroyed) return "";
    this.#allowedLines++;
    const id = `${this.#name}-${++this.#wishes}`;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.#waiting.set(id, resolve);
    const timer = setTimeout(() => resolve(""), limitMs);
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
    else if (first === "refused") this.#noteRefused(Number(text));
    else if (first === "failed:") this.#failure = text;
    else this.#waiting.get(first)?.(text);
  }

  #note(text: string): void {
    const [kills, refused, processes] = text.split(" ").map(Number);
    this.#counts = { ...this.#counts, outOfMemoryKills: kills || 0, processes: processes || 0 };
    this.#noteRefused(refused);
  }

  /** Never fewer than before: what the kernel counts of it goes with the instance's group. */
  #noteRefused(refused = 0): void {
    const refusedProcesses = Math.max(this.#counts.refusedProcesses, refused || 0);
    this.#counts = { ...this.#counts, refusedProcesses };
  }

  #settleAll(): void {
    for (const settle of this.#waiting.values()) settle("");
  }
}

const okText = (answer: string): string | null => (answer.startsWith("ok ") ? answer.slice(3) : null);
