import { setImmediate } from "node:timers/promises";

/**
 * Who wakes a machine has something on the way to its harness: that goes out first, and while the harness is at it, the
 * disk has time. One turn of the event loop in which a dial connects, and two in which it reads what goes along and sends.
 */
export async function sendsDone(): Promise<void> {
  await setImmediate();
  await setImmediate();
  await setImmediate();
}
