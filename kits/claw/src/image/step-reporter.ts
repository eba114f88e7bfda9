/** One line of progress: `done` of `total` steps are finished, this one runs for `seconds`. */
export interface BuildStep {
  name: string;
  state: "running" | "finished";
  done: number;
  total: number;
  seconds: number;
  /** what the step's tool said last */
  detail: string | null;
}

const STEPS = 4;
const TICK_MS = 1000;

/** Tells of each step when it begins, every second while it runs, and when it is finished. Steps may overlap. */
export class StepReporter {
  readonly #listener: (step: BuildStep) => void;
  readonly #timers = new Set<NodeJS.Timeout>();
  #done = 0;

  constructor(listener: (step: BuildStep) => void = () => undefined) {
    this.#listener = listener;
  }

  async step<T>(name: string, work: (onLine: (line: string) => void) => Promise<T>): Promise<T> {
    const started = performance.now();
    let detail: string | null = null;
    const tell = (state: BuildStep["state"]) => {
      const seconds = Math.round((performance.now() - started) / 100) / 10;
      this.#listener({ name, state, done: this.#done, total: STEPS, seconds, detail });
    };
    tell("running");
    const timer = setInterval(() => tell("running"), TICK_MS);
    this.#timers.add(timer);
    try {
      const result = await work((line) => (detail = line.trim()));
      this.#done += 1;
      tell("finished");
      return result;
    } finally {
      clearInterval(timer);
      this.#timers.delete(timer);
    }
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }
}
