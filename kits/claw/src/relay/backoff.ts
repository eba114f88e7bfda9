import { setTimeout as delay } from "node:timers/promises";

/** Waiting time before the try after `failures` failures: doubles from `firstMs` up to `longestMs`, with a fifth of chance. */
export function backoffMs(failures: number, firstMs: number, longestMs: number): number {
  const whole = Math.min(longestMs, firstMs * 2 ** Math.min(failures - 1, 20));
  return Math.round(whole * (0.8 + Math.random() * 0.2));
}

/** Waits; an abort ends the wait early and is not an error. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
