interface Running<T, P> {
  result: Promise<T>;
  listeners: Set<(progress: P) => void>;
  latest: P | null;
  stop: AbortController;
}

/** Work that several callers may want at the same time is done once; it is aborted when the last of them is gone. */
export class SharedWork<T, P> {
  readonly #running = new Map<string, Running<T, P>>();

  async join(
    key: string,
    work: (onProgress: (progress: P) => void, signal: AbortSignal) => Promise<T>,
    onProgress: (progress: P) => void = () => undefined,
    signal?: AbortSignal,
  ): Promise<T> {
    signal?.throwIfAborted();
    const running = this.#running.get(key) ?? this.#start(key, work);
    // a listener of its own for each caller, as two may hand in the same function
    const listener = (progress: P) => onProgress(progress);
    running.listeners.add(listener);
    if (running.latest !== null) listener(running.latest);
    const left = Promise.withResolvers<never>();
    const leave = () => left.reject(signal?.reason);
    signal?.addEventListener("abort", leave, { once: true });
    try {
      return await Promise.race([running.result, left.promise]);
    } catch (error) {
      running.listeners.delete(listener);
      if (running.listeners.size === 0) {
        this.#forget(key, running);
        running.stop.abort(error);
        await running.result.catch(() => undefined);
      }
      throw error;
    } finally {
      running.listeners.delete(listener);
      signal?.removeEventListener("abort", leave);
    }
  }

  #start(key: string, work: (onProgress: (progress: P) => void, signal: AbortSignal) => Promise<T>): Running<T, P> {
    const stop = new AbortController();
    const listeners = new Set<(progress: P) => void>();
    const tell = (progress: P) => {
      running.latest = progress;
      for (const listener of listeners) listener(progress);
    };
    const running: Running<T, P> = {
      listeners,
      stop,
      latest: null,
      result: Promise.resolve().then(() => work(tell, stop.signal)),
    };
    this.#running.set(key, running);
    running.result.then(
      () => this.#forget(key, running),
      () => this.#forget(key, running),
    );
    return running;
  }

  #forget(key: string, running: Running<T, P>): void {
    if (this.#running.get(key) === running) this.#running.delete(key);
  }
}
