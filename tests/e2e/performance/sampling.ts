import type { Series } from "./figure.ts";

/** What is measured once for each sample, by the label it has in the table. */
export type Samplers = Readonly<Record<string, () => Promise<number>>>;

const WARM_UP = 3;

/**
 * Takes `n` samples of each in turn, so that whatever else loads the machine loads all of them alike. The first few
 * rounds do not count.
 */
export async function sample(n: number, samplers: Samplers, signal: AbortSignal, warmUp = WARM_UP): Promise<Series[]> {
  const series = Object.entries(samplers).map(([label, take]) => ({ label, take, values: new Array<number>() }));
  for (let round = -warmUp; round < n; round++) {
    for (const { take, values } of series) {
      signal.throwIfAborted();
      const value = await take();
      if (round >= 0) values.push(value);
    }
  }
  return series.map(({ label, values }) => ({ label, values }));
}

export async function timed(task: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await task();
  return performance.now() - start;
}
