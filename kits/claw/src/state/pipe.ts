import { PassThrough } from "node:stream";
import { once } from "node:events";

/** From who writes at one end to who reads at the other, no faster than that one reads. */
export function pipe(): { write: (bytes: Uint8Array) => Promise<void>; end: () => void; bytes: AsyncIterable<Buffer> } {
  const stream = new PassThrough();
  return {
    write: async (bytes) => {
      if (!stream.destroyed && !stream.write(bytes)) await Promise.race([once(stream, "drain"), once(stream, "close")]);
    },
    end: () => void stream.end(),
    bytes: stream,
  };
}
