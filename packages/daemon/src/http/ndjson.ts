import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import { AegisError } from "@aegis/protocol/errors";

/**
 * Sends each item as a line of JSON while they come, the headers before the first of them: who follows what is quiet wants
 * to know that it is being followed. When the client goes away, the signal aborts and the source is
 * left; when the source fails in mid answer, the last line is an error body with `done`.
 */
export function sendNdjson(reply: FastifyReply, source: (signal: AbortSignal) => AsyncIterable<unknown>): FastifyReply {
  const gone = new AbortController();
  reply.raw.once("close", () => gone.abort());
  const body = Readable.from(
    lines(source(gone.signal), () => reply.raw.flushHeaders()),
    { objectMode: false, highWaterMark: 64 * 1024 },
  );
  return reply.type("application/x-ndjson").header("cache-control", "no-store").send(body);
}

/** @param begin called when somebody reads, which is when the answer's headers are complete */
async function* lines(source: AsyncIterable<unknown>, begin: () => void): AsyncGenerator<string> {
  begin();
  try {
    for await (const item of source) yield `${JSON.stringify(item)}\n`;
  } catch (error) {
    const known =
      error instanceof AegisError
        ? error
        : new AegisError("internal", "Something went wrong inside aegisd. Its log has the details.");
    yield `${JSON.stringify({ ...known.toBody(), done: true })}\n`;
  }
}
