import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

const RETRY_MS = 200;

/** Settles when something listens on the loopback port. @throws AbortError */
export async function portOpen(port: number, signal: AbortSignal): Promise<void> {
  while (!(await accepts(port))) await delay(RETRY_MS, undefined, { signal });
}

function accepts(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, "127.0.0.1");
  socket.once("connect", () => resolve(true));
  socket.once("error", () => resolve(false));
  return promise.finally(() => socket.destroy());
}
