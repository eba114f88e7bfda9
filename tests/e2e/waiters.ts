/** Who waits for something that is looked at whenever there was a change. */
export class Waiters {
  readonly #checks = new Set<() => boolean>();

  /** Resolves with what is found, now or after a change. @throws Error with the explanation after the time-out */
  until<T>(find: () => T | undefined, timeoutMs: number, explain: () => string): Promise<T> {
    return new Promise((resolve, reject) => {
      const isFound = (): boolean => {
        const found = find();
        if (found === undefined) return false;
        clearTimeout(timer);
        resolve(found);
        return true;
      };
      const timer = setTimeout(() => {
        this.#checks.delete(isFound);
        reject(new Error(`waited ${timeoutMs} ms in vain; ${explain()}`));
      }, timeoutMs);
      if (!isFound()) this.#checks.add(isFound);
    });
  }

  /** Something has changed. */
  look(): void {
    for (const isFound of this.#checks) if (isFound()) this.#checks.delete(isFound);
  }
}
