import type { MuxStream } from "./stream.ts";

type Callback = (error?: Error | null) => void;

/** What is asked of a Duplex of node:stream, which this package does not know. */
interface Duplex {
  push(chunk: Uint8Array | null): boolean;
  destroy(error?: Error): unknown;
}

export interface DuplexHandlers {
  allowHalfOpen: true;
  readableHighWaterMark: number;
  writableHighWaterMark: number;
  read(): void;
  write(chunk: Uint8Array, encoding: string, callback: Callback): void;
  writev(chunks: { chunk: Uint8Array }[], callback: Callback): void;
  final(callback: Callback): void;
  destroy(error: Error | null, callback: Callback): void;
}

const HIGH_WATER_MARK = 64 * 1024;

/**
 * A stream as a Duplex that behaves like a socket which may be half open.
 * @param make `(handlers) => new Duplex(handlers)`
 */
export function duplexOf<D extends Duplex>(stream: MuxStream, make: (handlers: DuplexHandlers) => D): D {
  let isAsked = false;
  const feed = () => {
    const bytes = isAsked ? stream.take() : null;
    if (bytes === null) return;
    isAsked = false;
    duplex.push(bytes === "end" ? null : bytes);
  };
  const duplex = make({
    allowHalfOpen: true,
    readableHighWaterMark: HIGH_WATER_MARK,
    writableHighWaterMark: HIGH_WATER_MARK,
    read() {
      isAsked = true;
      feed();
    },
    write: (chunk, _encoding, callback) => stream.send(chunk, callback),
    writev: (chunks, callback) => sendAll(stream, chunks, callback),
    final: (callback) => stream.finish(callback),
    destroy(error, callback) {
      stream.reset();
      callback(error);
    },
  });
  stream.attach({ arrived: feed, broken: (error) => void duplex.destroy(error) });
  return duplex;
}

/** Many small writes become one: they would be a frame each. */
function sendAll(stream: MuxStream, chunks: { chunk: Uint8Array }[], callback: Callback): void {
  const bytes = new Uint8Array(chunks.reduce((length, { chunk }) => length + chunk.length, 0));
  let at = 0;
  for (const { chunk } of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  stream.send(bytes, callback);
}
