import { constants } from "node:os";

/** One Ctrl-C arrives several times, from the terminal and from each program between it and us. */
const SAME_KEY_MS = 500;

/**
 * Aborts at the first SIGINT, SIGTERM or SIGHUP, or when the program that started us vanishes. A second one, by a person who
 * does not want to wait, ends the process at once.
 */
export function stopSignal(onStop: () => void): AbortSignal {
  const stopping = new AbortController();
  let first = 0;
  const stop = (signal: "SIGINT" | "SIGTERM" | "SIGHUP") => {
    if (!stopping.signal.aborted) {
      first = Date.now();
      onStop();
      stopping.abort();
    } else if (Date.now() - first > SAME_KEY_MS) {
      process.exit(128 + constants.signals[signal]);
    }
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop(signal));
  process.on("disconnect", () => stop("SIGHUP"));
  return stopping.signal;
}
