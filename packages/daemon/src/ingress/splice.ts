import { pipeline } from "node:stream";
import type { Duplex } from "node:stream";

/** Joins two streams until both directions have ended; an error on one ends the other. */
export function splice(a: Duplex, b: Duplex): void {
  const end = (error: Error | null | undefined) => {
    if (!error) return;
    a.destroy();
    b.destroy();
  };
  pipeline(a, b, end);
  pipeline(b, a, end);
}
