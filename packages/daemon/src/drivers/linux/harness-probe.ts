import type { Duplex } from "node:stream";
import { FirstLine } from "@aegis/protocol/first-line";
import { MAX_LINE_BYTES, type StreamHeader } from "@aegis/protocol/control";

/** A well-formed header that names no stream: the harness refuses it and nothing else happens. */
const PROBE: StreamHeader = { kind: "accept", stream_id: "boot-probe" };

/** Waits until the harness at the other end has answered at all. Closes the stream. */
export async function probeHarness(stream: Duplex): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const line = new FirstLine(MAX_LINE_BYTES);
  stream.on("data", (chunk: Buffer) => {
    if (line.push(chunk) !== null) resolve();
  });
  stream.once("error", reject);
  stream.once("close", () => reject(new Error("the harness closed the stream without an answer")));
  stream.write(`${JSON.stringify(PROBE)}\n`);
  try {
    await promise;
  } finally {
    stream.destroy();
  }
}
