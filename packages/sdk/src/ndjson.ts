import type { Readable } from "node:stream";
import { AegisError } from "@aegis/protocol/errors";
import { LineSplitter } from "@aegis/protocol/line-splitter";
import { isErrorBody } from "./error-body.ts";

const MAX_LINE_BYTES = 4 * 1024 * 1024;

/**
 * The values of an NDJSON stream as they arrive. Leaving the loop early closes the stream.
 * @param signal the one that the stream was opened with
 * @throws AegisError the daemon's own from the last line, `unavailable` when the stream breaks
 */
export async function* ndjson<T>(stream: Readable, signal?: AbortSignal): AsyncGenerator<T> {
  const splitter = new LineSplitter(MAX_LINE_BYTES);
  for await (const chunk of chunksOf(stream, signal)) {
    for (const line of splitter.push(chunk)) if (line !== "") yield valueOf(line) as T;
  }
  const rest = splitter.rest();
  if (rest !== null && rest.trim() !== "") yield valueOf(rest) as T;
}

/** A stream whose source fails half way ends with the error as its last line. */
function valueOf(line: string): unknown {
  const value: unknown = JSON.parse(line);
  if (isErrorBody(value)) throw AegisError.fromBody(value);
  return value;
}

async function* chunksOf(stream: Readable, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of stream) yield chunk as Uint8Array;
  } catch (cause) {
    signal?.throwIfAborted();
    throw new AegisError("unavailable", "the connection to aegisd broke: see `aegis status`", { cause });
  }
}
