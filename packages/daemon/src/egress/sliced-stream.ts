import { Duplex } from "node:stream";

/**
 * The same stream, read in slices. The HTTP parser takes in all that it is given, thousands of small requests if they came
 * together; in slices it can be stopped in between, by destroying the stream.
 * @param bytes of a slice at most
 */
export function slicedStream(stream: Duplex, bytes: number): Duplex {
  let rest: Buffer = Buffer.alloc(0);
  const pass = () => {
    while (rest.length > 0 && !sliced.destroyed) {
      const slice = rest.subarray(0, bytes);
      rest = rest.subarray(bytes);
      if (!sliced.push(slice)) return;
    }
    if (!sliced.destroyed) stream.resume();
  };
  const sliced = new Duplex({
    readableHighWaterMark: bytes,
    read: pass,
    write(chunk: Buffer, _encoding, done) {
      if (stream.write(chunk)) done();
      else stream.once("drain", done);
    },
    final: (done) => void stream.end(done),
    destroy(error, done) {
      stream.destroy();
      done(error);
    },
  });
  stream.on("data", (chunk: Buffer) => {
    stream.pause();
    rest = chunk;
    pass();
  });
  stream.once("end", () => sliced.push(null));
  stream.once("close", () => sliced.destroy()).on("error", () => sliced.destroy());
  return sliced;
}
