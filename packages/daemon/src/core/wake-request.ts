/** Who wants to be awake again sooner than that need not sleep: a hook that asks for less says no. */
const SHORTEST_SLEEP_MS = 5_000;
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

const LONGEST_BOOT_S = 600;

/**
 * When a workload that may be paused wants to be woken, and booted should it have been stopped by then; RFC 3339, UTC.
 * Null: it does not say.
 */
export interface WakeTimes {
  wakeAt: string | null;
  bootAt: string | null;
}

/** What a pause hook answered, unchecked. */
export interface WakeWords {
  wake_at?: unknown;
  boot_lead_s?: unknown;
}

/**
 * What a pause hook said of its wake. Nothing that it may say keeps an instance awake for longer, or wakes it more often,
 * than a hook that never agrees.
 * @param now ms since the epoch
 */
export function wakeRequest({ wake_at, boot_lead_s }: WakeWords, now: number): WakeTimes | { refused: string } {
  if (wake_at === undefined || wake_at === null) return { wakeAt: null, bootAt: null };
  const at = typeof wake_at === "string" && RFC_3339.test(wake_at) ? Date.parse(wake_at) : Number.NaN;
  if (Number.isNaN(at)) return { refused: "its wake_at is no time as in RFC 3339, like 2026-01-31T08:00:00Z" };
  const wakeAt = new Date(at).toISOString();
  if (at - now < SHORTEST_SLEEP_MS) return { refused: `it wants to be awake at ${wakeAt}` };
  const lead = boot_lead_s ?? 0;
  if (typeof lead !== "number" || !(lead >= 0 && lead <= LONGEST_BOOT_S))
    return { refused: `its boot_lead_s is no number of seconds from 0 to ${LONGEST_BOOT_S}` };
  return { wakeAt, bootAt: new Date(at - lead * 1000).toISOString() };
}
