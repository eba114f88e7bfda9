import { once } from "node:events";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { FILLED } from "./fill-order.ts";
import type { SealedMemory } from "./snapshot-store.ts";

/** Beside the bundle, or beside this source. */
const PROGRAM = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "fill-memory.ts" : "fill-memory.mjs", import.meta.url),
);

/** Words that start the program which fills a machine's memory. It has no secret in them. */
export const fillerCommand = ({ file }: SealedMemory): string[] => [
  process.execPath,
  "--disable-warning=ExperimentalWarning",
  PROGRAM,
  file,
];

/**
 * Has it begin, and waits for its end: it runs beside QEMU.
 * @param channel its stdin and stdout
 * @throws Error that says what is wrong with the sealed memory
 */
export async function filled(channel: Duplex, { order }: SealedMemory): Promise<void> {
  const ended = once(channel, "close");
  channel.end(JSON.stringify(order));
  const [said] = await Promise.all([text(channel), ended]);
  if (said !== FILLED) throw new Error(said || "whoever fills it was ended");
}
