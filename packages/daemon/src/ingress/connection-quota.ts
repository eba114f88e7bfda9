import type { Socket } from "node:net";

export interface Quota {
  /** connections that one of those who are visited may have */
  each: number;
  /** connections of all together */
  all: number;
}

const GENEROUS: Quota = { each: 4096, all: 16_384 };

/** @param descriptors that the daemon may have. A connection takes two, one to either side; a quarter is for all the rest. */
export function quotaFor(descriptors: number): Quota {
  const all = Math.min(GENEROUS.all, Math.floor((descriptors * 3) / 8));
  return { each: Math.min(GENEROUS.each, Math.floor(all / 2)), all };
}

/** How many come in from outside. Whoever comes when it is full is closed at once: what waits would cost as much. */
export class ConnectionQuota {
  readonly #quota: Quota;
  readonly #warn: (message: string) => void;
  readonly #open = new Map<string, number>();
  readonly #full = new Set<string>();
  #all = 0;

  constructor(quota: Quota, warn: (message: string) => void) {
    this.#quota = quota;
    this.#warn = warn;
  }

  /** @param visited whose connection it is @returns false when there is no room; the socket is closed then */
  admit(socket: Socket, visited: string): boolean {
    const open = this.#open.get(visited) ?? 0;
    if (open >= this.#quota.each || this.#all >= this.#quota.all) {
      socket.destroy();
      this.#tell(visited, open);
      return false;
    }
    this.#open.set(visited, open + 1);
    this.#all += 1;
    socket.once("close", () => this.#leave(visited));
    return true;
  }

  #leave(visited: string): void {
    const open = (this.#open.get(visited) ?? 1) - 1;
    this.#all -= 1;
    if (open > 0) this.#open.set(visited, open);
    else this.#open.delete(visited);
    if (open <= this.#quota.each / 2) this.#full.delete(visited);
  }

  /** Once for each time that it is full, which it is until half of them have gone. */
  #tell(visited: string, open: number): void {
    if (this.#full.has(visited)) return;
    this.#full.add(visited);
    this.#warn(
      `${visited} has ${open} connections from outside, all instances together ${this.#all}: no more are let in (${this.#quota.each} and ${this.#quota.all} at most)`,
    );
  }
}
