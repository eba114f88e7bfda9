import type { Socket } from "node:net";

const MAX_BYTES = 64 * 1024;

/**
 * What a client sends before its way into the instance is open. It goes with the first thing that is said to the
 * harness, which saves the request a round trip, and again with the next attempt when nobody listened inside.
 */
export class ReadAhead {
  readonly #socket: Socket;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #sent = 0;

  /** @param socket paused, nothing of it read */
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", this.#keep);
    socket.resume();
  }

  /** All so far; what an earlier attempt was given comes again. */
  readonly take = (): Buffer => {
    this.#sent = this.#bytes;
    return this.#all();
  };

  /** The way is open: reads no further. @returns all that was read, and what of it the last attempt was not given */
  end(): { all: Buffer; left: Buffer } {
    this.#socket.off("data", this.#keep);
    this.#socket.pause();
    const all = this.#all();
    return { all, left: all.subarray(this.#sent) };
  }

  readonly #keep = (chunk: Buffer): void => {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes >= MAX_BYTES) this.#socket.pause();
  };

  #all(): Buffer {
    const [first, second] = this.#chunks;
    return first !== undefined && second === undefined ? first : Buffer.concat(this.#chunks);
  }
}
