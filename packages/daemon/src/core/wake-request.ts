/** Who wants to be awake again sooner than that need not sleep: a hook that asks for less says no. */
const SHORTEST_SLEEP_MS = 5_000;
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/** When a workload that may be paused wants to be woken; RFC 3339, UTC. Null: it does not say. */
export type WakeRequest = { wakeAt: string | null } | { refused: string };

/**
 * What a pause hook said in `wake_at`. Nothing that it may say keeps an instance awake for longer, or wakes it more often,
 * than a hook that never agrees.
 * @param now ms since the epoch
 */
export function wakeRequest(said: unknown, now: number): WakeRequest {
  if (said === undefined || said === null) return { wakeAt: null };
  const at = typeof said === "string" && RFC_3339.test(said) ? Date.parse(said) : Number.NaN;
  if (Number.isNaN(at)) return { refused: "its wake_at is no time as in RFC 3339, like 2026-01-31T08:00:00Z" };
  const wakeAt = new Date(at).toISOString();
  return at - now < SHORTEST_SLEEP_MS ? { refused: `it wants to be awake at ${wakeAt}` } : { wakeAt };
}
