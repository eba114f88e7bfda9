import type { Group } from "./options.ts";
import { summarise } from "./statistics.ts";

export type Unit = "ms" | "MB" | "% CPU";

export interface Series {
  label: string;
  values: readonly number[];
}

/** One thing measured: what Aegis takes, and beside it what the raw runtime takes for the same. */
export interface Figure {
  group: Group;
  unit: Unit;
  aegis: Series;
  /** the first one is what Aegis is compared with */
  raw: readonly Series[];
  /** what the median must not exceed; null where nobody asked for one */
  target: number | null;
  /** what the 99th percentile must not exceed */
  targetP99?: number;
}

export type Verdict = "met" | "missed" | "";

export function verdictOf({ aegis, target, targetP99 = Infinity }: Figure): Verdict {
  if (target === null) return "";
  const { median, p99 } = summarise(aegis.values);
  return median <= target && p99 <= targetP99 ? "met" : "missed";
}
