import { AegisError } from "@aegis/protocol/errors";
import type { AegisEvent } from "@aegis/protocol/event";
import type { InstanceView } from "@aegis/protocol/instance";
import type { AegisClient } from "./client.ts";

export interface WatchOptions {
  signal?: AbortSignal;
  /** what the daemon does meanwhile: "pulling node:24" */
  onProgress?: (message: string) => void;
}

/**
 * Waits until an instance is as asked: looks once, then again at each of its events since that look, and never by the clock.
 * @throws AegisError `instance_deleted` when it goes away, `unavailable` when the daemon does
 */
export async function waitForInstance(
  client: AegisClient,
  id: string,
  reached: (instance: InstanceView) => boolean,
  options: WatchOptions = {},
): Promise<InstanceView> {
  const ending = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, ending.signal]) : ending.signal;
  const first = await client.instances.get(id, signal);
  if (reached(first)) return first;
  try {
    for await (const event of eventsSince(client, first, signal)) {
      if (event.type === "instance.deleted")
        throw new AegisError("instance_deleted", `${first.handle} was deleted while it was waited for`);
      if (event.type === "instance.boot_progress") options.onProgress?.(event.message);
      if (event.type !== "instance.state") continue;
      const now = await client.instances.get(first.id, signal);
      if (reached(now)) return now;
    }
    throw new AegisError(
      "unavailable",
      `aegisd ended while ${first.handle} was waited for: start it with \`aegis up\``,
    );
  } finally {
    ending.abort();
  }
}

/** What has happened to it since it was looked at. */
async function* eventsSince(
  client: AegisClient,
  { id, event_seq: sinceSeq = 0 }: InstanceView,
  signal: AbortSignal,
): AsyncGenerator<AegisEvent> {
  for await (const event of client.events({ sinceSeq, signal })) {
    if ("instance_id" in event && event.instance_id === id) yield event;
  }
}
