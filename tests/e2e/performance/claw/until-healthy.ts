import { setTimeout as delay } from "node:timers/promises";

const LOOK_MS = 50;
const PATIENCE_MS = 180_000;

/** Waits for OpenClaw's webhook, which comes up in the middle of its start. @returns ms that it took */
export async function untilHealthy(port: number, signal: AbortSignal): Promise<number> {
  const start = performance.now();
  while (!(await isHealthy(port, signal))) {
    if (performance.now() - start > PATIENCE_MS)
      throw new Error(`OpenClaw was not ready after ${PATIENCE_MS / 1000} s`);
    await delay(LOOK_MS, undefined, { signal });
  }
  return performance.now() - start;
}

async function isHealthy(port: number, signal: AbortSignal): Promise<boolean> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`, { signal, headers: { connection: "close" } });
    return (await answer.text()).trim() === "ok";
  } catch {
    // nobody listens yet
    signal.throwIfAborted();
    return false;
  }
}
