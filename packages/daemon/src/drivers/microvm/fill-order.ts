/** What opens the sealed memory of a machine, for the program that fills the memory of the next one (fill-memory.ts). */
export interface FillOrder {
  /** hexadecimal */
  key: string;
  subject: string;
}

/** what that program says when it is done; else it says why it is not */
export const FILLED = "filled";
