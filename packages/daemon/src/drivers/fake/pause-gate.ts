/** Holds back whatever goes through it while it is closed, as a frozen machine does with its streams. */
export class PauseGate {
  #opened: PromiseWithResolvers<void> | null = null;

  get closed(): boolean {
    return this.#opened !== null;
  }

  close(): void {
    this.#opened ??= Promise.withResolvers<void>();
  }

  open(): void {
    this.#opened?.resolve();
    this.#opened = null;
  }

  /** Settles at once while the gate is open. */
  async pass(): Promise<void> {
    while (this.#opened !== null) await this.#opened.promise;
  }
}
