export interface Summary {
  n: number;
  median: number;
  p99: number;
  min: number;
  max: number;
}

/** The nearest rank: with fewer than 100 values the 99th percentile is the largest. @param values at least one */
export function summarise(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
  return { n: sorted.length, median: middle(sorted), p99: rank(0.99), min: rank(0), max: rank(1) };
}

function middle(sorted: readonly number[]): number {
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN;
  return (lower + upper) / 2;
}
