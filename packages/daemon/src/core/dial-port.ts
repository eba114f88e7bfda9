import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { AegisError } from "@aegis/protocol/errors";
import type { BootSession } from "./boot-session.ts";
import type { Harness } from "./harness.ts";

/** how long after a boot a port that refuses is taken for a server that still starts */
const STARTUP_MS = 30_000;
const FIRST_RETRY_MS = 5;
const LONGEST_RETRY_MS = 200;

/** Somebody at the door of an instance. */
export interface Knock {
  /** aborts when nobody waits any more */
  signal?: AbortSignal | undefined;
  /** what it has sent already, from the first byte on; asked for by every attempt, at the latest moment */
  early?: (() => Uint8Array) | undefined;
}

/** The same, with one more reason to give up. */
export const either = ({ signal, early }: Knock, other: AbortSignal): Knock => ({
  signal: signal === undefined ? other : AbortSignal.any([signal, other]),
  early,
});

/** A stream to a port inside. While the workload is starting, waits for somebody to listen there. */
export async function dialPort(
  harness: Harness,
  session: Pick<BootSession, "machine" | "startedAt" | "over">,
  port: number,
  knock: Knock,
): Promise<Duplex> {
  const { machine } = session;
  for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(retryMs * 1.5, LONGEST_RETRY_MS)) {
    const stream = await harness.openPort(machine, port, knock);
    if (stream !== null) return stream;
    if (session.over || Date.now() - session.startedAt > STARTUP_MS) break;
    await delay(retryMs, undefined, knock.signal === undefined ? {} : { signal: knock.signal });
  }
  throw new AegisError(
    "guest_unreachable",
    `Nothing listens on port ${port} inside ${machine.instanceId}. Check the workload's logs, or expose the port it really uses.`,
  );
}
