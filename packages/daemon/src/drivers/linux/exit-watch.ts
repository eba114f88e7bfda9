import { readFileSync, watch, type FSWatcher } from "node:fs";
import { isAlive, type ProcessIdentity } from "./process-identity.ts";

/** A machine that ends also ends its control stream, which tells as well: this is for what nothing else has told. */
const POLL_MS = 60_000;
const POLL_WITHOUT_EVENTS_MS = 100;

/**
 * Tells when a machine's init is gone, and with it, by the rules of a pid namespace, every other process. The kernel
 * says so through the control group's events file; a slow poll covers what that misses.
 */
export class ExitWatch {
  readonly exited: Promise<void>;
  readonly #identity: ProcessIdentity;
  readonly #resolve: () => void;
  #watcher: FSWatcher | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(identity: ProcessIdentity, eventsFile: string | null) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#identity = identity;
    this.exited = promise;
    this.#resolve = resolve;
    this.#watcher = eventsFile === null ? null : this.#watch(eventsFile);
    this.#timer = setInterval(() => void this.look(), this.#watcher === null ? POLL_WITHOUT_EVENTS_MS : POLL_MS);
    this.#timer.unref();
  }

  /** Looks at once. */
  async look(): Promise<void> {
    if (await isAlive(this.#identity)) return;
    this.close();
    this.#resolve();
  }

  close(): void {
    this.#watcher?.close();
    this.#watcher = null;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #watch(file: string): FSWatcher | null {
    try {
      // it changes with every pause and wake as well
      const watcher = watch(file, { persistent: false }, () => {
        if (!isPopulated(file)) void this.look();
      });
      watcher.on("error", () => watcher.close());
      return watcher;
    } catch {
      // The host is out of inotify watches: polling must do.
      return null;
    }
  }
}

/** In this thread, since the kernel answers from memory and a wake waits for nobody. A group that is gone has no process. */
function isPopulated(eventsFile: string): boolean {
  try {
    return readFileSync(eventsFile, "latin1").includes("populated 1");
  } catch {
    return false;
  }
}
