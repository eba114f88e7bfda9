import type { Duplex } from "node:stream";

/** Joins two streams: bytes both ways, no faster than the slower one, each end of writing passed on by itself. */
export function splice(a: Duplex, b: Duplex): void {
  const destroyBoth = () => {
    a.destroy();
    b.destroy();
  };
  for (const socket of [a, b]) {
    socket.on("error", destroyBoth);
    socket.on("close", (hadError?: boolean) => {
      if (hadError === true) destroyBoth();
    });
  }
  // a side that closed without the other direction's end having passed can take nothing more
  a.on("close", () => b.end());
  b.on("close", () => a.end());
  a.pipe(b);
  b.pipe(a);
}
