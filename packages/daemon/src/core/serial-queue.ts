/** Runs tasks one after the other, in the order they were added. A task that fails does not stop the next. */
export class SerialQueue {
  #tail: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #added = 0;

  /** True when nothing runs and nothing waits. */
  get idle(): boolean {
    return this.#waiting === 0;
  }

  /** how many tasks there have been */
  get added(): number {
    return this.#added;
  }

  run<T>(task: () => Promise<T>): Promise<T> {
    this.#waiting += 1;
    this.#added += 1;
    const result = this.#tail.then(task);
    this.#tail = result.then(
      () => this.#done(),
      () => this.#done(),
    );
    return result;
  }

  #done(): void {
    this.#waiting -= 1;
  }
}
