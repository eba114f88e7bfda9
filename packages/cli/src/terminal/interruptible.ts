import type { CliContext } from "../cli.ts";

/** Runs a follow until it ends or Ctrl-C ends it: for something that never ends, that is the normal way out. */
export async function interruptible(
  signals: CliContext["signals"],
  follow: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const interrupt = new AbortController();
  const stop = () => interrupt.abort();
  for (const name of ["SIGINT", "SIGTERM"]) signals.on(name, stop);
  try {
    await follow(interrupt.signal);
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
  } finally {
    for (const name of ["SIGINT", "SIGTERM"]) signals.off(name, stop);
  }
}
