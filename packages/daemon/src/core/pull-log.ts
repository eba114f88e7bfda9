import type { PullPhase } from "@aegis/protocol/image";
import type { PullProgress } from "./images.ts";

const STEP = 0.1;

/** Thins the progress of a pull out to what a person wants to read: each phase, and each tenth of it. */
export class PullLog {
  readonly #say: (message: string) => void;
  #phase: PullPhase | null = null;
  #told = 0;

  constructor(say: (message: string) => void) {
    this.#say = say;
  }

  add({ phase, message, doneBytes, totalBytes }: PullProgress): void {
    const share = doneBytes === null || totalBytes === null || totalBytes === 0 ? 0 : doneBytes / totalBytes;
    if (phase === this.#phase && share < this.#told + STEP) return;
    this.#phase = phase;
    this.#told = share;
    this.#say(share === 0 ? message : `${message} (${Math.round(share * 100)} %)`);
  }
}
