import { spawn } from "node:child_process";
import { once } from "node:events";
import { AegisError } from "@aegis/protocol/errors";

export type LockMode = "shared" | "exclusive";

/** flock(1)'s answer when somebody else holds the lock. */
const BUSY = 75;

/**
 * Locks between processes. Each lock is held by a small child that ends with this process, whichever way this one ends, so
 * there is nothing to clear away after a crash.
 */
export class FileLock {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  /** Waits for the lock, holds it while `work` runs. */
  async hold<T>(mode: LockMode, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const release = await this.#acquire([`--${mode}`], signal);
    if (release === null) throw new AegisError("internal", `the lock ${this.#file} was refused`);
    return await settle(work, release);
  }

  /** As {@link hold}, but null when somebody else has the lock. */
  async tryHold<T>(mode: LockMode, work: () => Promise<T>): Promise<T | null> {
    const release = await this.#acquire([`--${mode}`, "--nonblock", "--conflict-exit-code", String(BUSY)]);
    return release === null ? null : await settle(work, release);
  }

  async #acquire(mode: readonly string[], signal?: AbortSignal): Promise<(() => Promise<void>) | null> {
    signal?.throwIfAborted();
    const child = spawn("flock", [...mode, this.#file, "sh", "-c", "echo held; exec cat"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const closed = once(child, "close");
    const abort = () => child.kill("SIGKILL");
    signal?.addEventListener("abort", abort, { once: true });
    const held = await Promise.race([once(child.stdout, "data").then(() => true), closed.then(() => false)]);
    signal?.removeEventListener("abort", abort);
    const release = async () => {
      child.stdin.destroy();
      await closed;
    };
    if (signal?.aborted === true) {
      await release();
      signal.throwIfAborted();
    }
    if (held) return release;
    const [code] = await closed;
    if (code === BUSY) return null;
    throw new AegisError("internal", `the lock ${this.#file} cannot be taken (flock ended with code ${String(code)})`);
  }
}

async function settle<T>(work: () => Promise<T>, release: () => Promise<void>): Promise<T> {
  try {
    return await work();
  } finally {
    await release();
  }
}
