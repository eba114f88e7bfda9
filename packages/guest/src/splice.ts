import type { Socket } from "node:net";

/** Joins two sockets: bytes both ways, no faster than the slower one, each end of writing passed on by itself. */
export function splice(a: Socket, b: Socket): void {
  const destroyBoth = () => {
    a.destroy();
    b.destroy();
  };
  for (const socket of [a, b]) {
    socket.on("error", destroyBoth);
    socket.on("close", (hadError) => {
      if (hadError) destroyBoth();
    });
  }
  // a side that closed without the other direction's end having passed can take nothing more
  a.on("close", () => b.end());
  b.on("close", () => a.end());
  a.pipe(b);
  b.pipe(a);
}
