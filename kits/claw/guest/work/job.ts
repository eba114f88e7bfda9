export interface JobResult {
  ok: boolean;
  /** last words, or why it failed */
  text: string;
}

/** Takes a step of the work, in a few words for the person who waits. */
export type Tell = (step: string) => void;
