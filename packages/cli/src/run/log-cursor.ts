import type { LogLine } from "@aegis/protocol/exec";

/** Where in a log we are, so that reading again from there shows nothing twice: times alone do not tell lines apart. */
export class LogCursor {
  #since: string;
  #seenThen = 0;

  constructor(since: string) {
    this.#since = since;
  }

  get since(): string {
    return this.#since;
  }

  pass(line: LogLine): void {
    if (line.ts === this.#since) this.#seenThen += 1;
    else [this.#since, this.#seenThen] = [line.ts, 1];
  }

  /** Of lines read from {@link since} on, those that were not passed yet. */
  fresh(): (line: LogLine) => boolean {
    const since = this.#since;
    let known = this.#seenThen;
    return (line) => {
      if (line.ts !== since || known === 0) return true;
      known -= 1;
      return false;
    };
  }
}
