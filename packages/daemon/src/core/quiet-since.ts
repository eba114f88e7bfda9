import { HEARTBEAT_MS } from "@aegis/protocol/control";
import type { InstanceJournal } from "./instance-journal.ts";

/** how long a harness that is busy may take to say so */
const HEARTBEAT_GRACE_MS = HEARTBEAT_MS * 1.2;

/**
 * Since when a machine that outlived the last daemon counts as idle, in ms since the epoch. While there was no daemon,
 * nobody heard the heartbeats: before it counts as idle, one is waited for.
 */
export function quietSince({ record: { spec }, seen }: Pick<InstanceJournal, "record" | "seen">): number {
  const limit = (spec.pause_after_idle_s ?? 0) * 1000;
  const heard = spec.idle_policy === "default" ? Date.now() - limit + Math.min(limit, HEARTBEAT_GRACE_MS) : 0;
  return Math.max(Date.parse(seen.lastActiveAt), heard);
}
