import { readdirSync, readlinkSync } from "node:fs";
import { setTerminalFlow } from "./libc.ts";

/**
 * Holds the writers of a terminal back. Bun reads a terminal without end, so the terminal itself is stopped, through
 * the slave side that Bun keeps open as long as the process lives.
 */
export class TerminalFlow {
  readonly #slave: { fd: number; path: string } | null;

  /** @param start makes the one terminal */
  static around<T>(start: () => T): { started: T; flow: TerminalFlow } {
    const before = openSlaves();
    const started = start();
    const made = [...openSlaves()].find(([fd, path]) => before.get(fd) !== path);
    return { started, flow: new TerminalFlow(made === undefined ? null : { fd: made[0], path: made[1] }) };
  }

  private constructor(slave: { fd: number; path: string } | null) {
    this.#slave = slave;
  }

  stop(): void {
    this.#set(false);
  }

  resume(): void {
    this.#set(true);
  }

  #set(flows: boolean): void {
    // the descriptor may have been closed, and its number given to something else, since
    if (this.#slave !== null && slavePath(this.#slave.fd) === this.#slave.path) setTerminalFlow(this.#slave.fd, flows);
  }
}

/** Own file descriptors that are slave sides of terminals. */
function openSlaves(): Map<number, string> {
  const slaves = new Map<number, string>();
  for (const name of readdirSync("/proc/self/fd")) {
    const path = slavePath(Number(name));
    if (path !== null) slaves.set(Number(name), path);
  }
  return slaves;
}

function slavePath(fd: number): string | null {
  try {
    const path = readlinkSync(`/proc/self/fd/${fd}`);
    return /^\/dev\/pts\/\d+$/.test(path) ? path : null;
  } catch {
    return null; // closed
  }
}
