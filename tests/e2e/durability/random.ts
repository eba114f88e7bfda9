import { seededRandom } from "../../../packages/daemon/test/seeded-random.ts";

/** Numbers that follow from a seed alone. */
export class Random {
  /** in [0, 1) */
  readonly next: () => number;

  constructor(seed: number) {
    this.next = seededRandom(seed);
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  pick<T>(choices: readonly T[]): T | undefined {
    return choices[this.below(choices.length)];
  }
}
