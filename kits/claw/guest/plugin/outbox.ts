import { randomUUID } from "node:crypto";
import { type Kept, KeptFiles } from "./kept-files.ts";

/** A message that is on its way to the chat. The host's relay knows by `id` what it has sent already. */
export interface Outgoing extends Kept {
  /** path and query of the call */
  url: string;
  /** JSON */
  body: string;
}

/** What is older is no answer any more; the relay remembers what it has sent for as long. */
const KEPT_MS = 24 * 3_600_000;

/** Messages that have no answer of the Bot API yet. They outlive the process. */
export class Outbox {
  readonly #files: KeptFiles<Outgoing>;

  constructor(folder: string, warn: (text: string) => void) {
    this.#files = new KeptFiles({ folder, keptMs: KEPT_MS, what: "a message on its way", warn });
  }

  /** On disk when it returns, unless the disk is full: that is no reason not to send it. */
  put(url: string, body: string): Outgoing {
    const outgoing = { id: randomUUID(), at: this.#files.now(), url, body };
    this.#files.put(outgoing);
    return outgoing;
  }

  remove(outgoing: Outgoing): void {
    this.#files.remove(outgoing);
  }

  /** What an earlier process left behind, oldest first. */
  left(): Outgoing[] {
    return this.#files.left();
  }

  isOver(outgoing: Outgoing): boolean {
    return this.#files.isOver(outgoing);
  }
}
