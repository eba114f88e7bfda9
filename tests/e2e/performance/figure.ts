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
}

export type Verdict = "met" | "missed" | "";

export function verdictOf({ aegis, target }: Figure): Verdict {
  if (target === null) return "";
  return summarise(aegis.values).median <= target ? "met" : "missed";
}
