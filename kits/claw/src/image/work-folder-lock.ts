import { spawn } from "node:child_process";
import { once } from "node:events";

/**
 * Holds `flock` on the file while `work` runs. The lock is a child's, which ends when this process does, also by SIGKILL.
 */
export async function withFileLock<T>(file: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted();
  const holder = spawn("flock", ["--exclusive", file, "sh", "-c", "echo held; exec cat"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const closed = once(holder, "close");
  const release = async () => {
    holder.stdin.end();
    await closed;
  };
  try {
    await Promise.race([
      once(holder.stdout, "data", signal === undefined ? {} : { signal }),
      lockRefused(closed, file),
    ]);
    return await work();
  } catch (error) {
    if (signal?.aborted === true) holder.kill("SIGKILL");
    throw error;
  } finally {
    await release();
  }
}

async function lockRefused(closed: Promise<unknown[]>, file: string): Promise<never> {
  await closed;
  throw new Error(`the lock ${file} cannot be taken`);
}
