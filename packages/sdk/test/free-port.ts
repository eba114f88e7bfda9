import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/** Below those that the kernel gives to whoever asks for any. */
const FIRST = 20_000;
const WORKERS = 12;
const EACH = 1000;
/** Test files that run at the same time have different numbers, and so different ports. */
const worker = Number(process.env["VITEST_POOL_ID"] ?? 0) % WORKERS;
let next = randomInt(EACH);

/** A port of the loopback for a program that is started later: it is free, and nobody else of this run takes it meanwhile. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < EACH; tries++) {
    const port = FIRST + worker * EACH + (next++ % EACH);
    if (await isFree(port)) return port;
  }
  throw new Error(`no port is free from ${FIRST + worker * EACH} on`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}
