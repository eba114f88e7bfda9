import type { BindingLimits, BindingUsage } from "@aegis/protocol/binding";
import type { UsageRow } from "./usage-ledger.ts";

export interface SpentBudget {
  /** which of them */
  field: "requests" | "request_bytes" | "response_bytes";
  limit: number;
  /** s until there is more; null: never */
  resetsInS: number | null;
}

const budgets = ["requests", "request_bytes", "response_bytes"] as const;

/**
 * The first budget of the owner that has nothing left, or null.
 * @param row what was used of the owner's binding; its period is begun anew when it is over
 * @param now ms since the epoch
 * @param during a request that was let in: it may use up what is left, but not go beyond
 */
export function spentBudget(row: UsageRow, limits: BindingLimits, now: number, during = false): SpentBudget | null {
  const base = limits.window_s === undefined ? null : currentBase(row, limits.window_s * 1000, now);
  for (const field of budgets) {
    const limit = limits[field];
    if (limit === undefined) continue;
    const used = row.tree[field] - (base?.[field] ?? 0);
    if (during ? used <= limit : used < limit) continue;
    return { field, limit, resetsInS: resetsIn(row, limits, now) };
  }
  return null;
}

function currentBase(row: UsageRow, windowMs: number, now: number): BindingUsage {
  const { window } = row;
  // a clock that was set back does not make a period longer
  if (window !== null && now >= window.startedAt && now < window.startedAt + windowMs) return window.base;
  row.window = { startedAt: now, base: { ...row.tree } };
  return row.window.base;
}

function resetsIn({ window }: UsageRow, { window_s }: BindingLimits, now: number): number | null {
  if (window_s === undefined || window === null) return null;
  return Math.max(1, Math.ceil((window.startedAt + window_s * 1000 - now) / 1000));
}
