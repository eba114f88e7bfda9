import type { Duplex } from "node:stream";

/**
 * Joins two streams: bytes both ways, each end of writing passed on by itself. One that closes before both directions
 * have ended takes the other with it. By `pipe`, since `pipeline` costs a tenth of what a short connection takes.
 */
export function splice(a: Duplex, b: Duplex): void {
  follow(a, b);
  follow(b, a);
  a.pipe(b);
  b.pipe(a);
  // gone before anybody listened
  if (a.destroyed || b.destroyed) for (const stream of [a, b]) stream.destroy();
}

function follow(stream: Duplex, other: Duplex): void {
  const end = () => void other.destroy();
  stream.on("error", end);
  stream.once("close", () => {
    // both ends passed on: the other may still have to write what it was given, and closes by itself
    if (!stream.readableEnded || !stream.writableFinished) end();
  });
}
