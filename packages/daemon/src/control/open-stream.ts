import type { Duplex } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { MAX_LINE_BYTES } from "@aegis/protocol/control";
import type { StreamErrorCode, StreamHeader, StreamReply } from "@aegis/protocol/control";
import { AegisError, messageOf } from "@aegis/protocol/errors";
import type { ErrorCode } from "@aegis/protocol/errors";
import { FirstLine } from "@aegis/protocol/first-line";
import type { Machine } from "../core/driver.ts";

const codeOf = {
  connection_refused: "guest_unreachable",
  command_not_found: "command_not_found",
  command_not_executable: "command_not_executable",
  invalid_cwd: "invalid_path",
  user_not_available: "user_not_available",
  unknown_stream: "guest_unreachable",
  invalid_header: "internal",
  spawn_failed: "driver_failed",
} as const satisfies Record<StreamErrorCode, ErrorCode>;

const isStreamErrorCode = (code: string): code is StreamErrorCode => Object.hasOwn(codeOf, code);

/** @param code as the harness sent it, which may be anything: the guest is not trusted */
export const toAegisError = (code: string, message: string): AegisError =>
  new AegisError(isStreamErrorCode(code) ? codeOf[code] : "driver_failed", message);

export type Opened =
  | { stream: Duplex; reply: Extract<StreamReply, { ok: true }> }
  | { refused: Extract<StreamReply, { ok: false }> };

/**
 * Dials the harness, sends the header and waits for its answer.
 * @param early what goes with the header, without waiting for the answer
 */
export async function openStream(
  machine: Machine,
  header: StreamHeader,
  signal?: AbortSignal,
  early?: () => Uint8Array,
): Promise<Opened> {
  const stream = await machine.dial(signal);
  const [reply] = await Promise.all([readReply(stream, signal), sendHeader(stream, header, early)]);
  if (reply.ok) return { stream, reply };
  stream.destroy();
  return { refused: reply };
}

async function sendHeader(stream: Duplex, header: StreamHeader, early?: () => Uint8Array): Promise<void> {
  const line = Buffer.from(`${JSON.stringify(header)}\n`);
  if (early === undefined) return void stream.write(line);
  await sendEarly(stream, early, line);
}

/** @param head goes before it, in the same packet */
export async function sendEarly(stream: Duplex, early: () => Uint8Array, head = new Uint8Array()): Promise<void> {
  // what comes in the same turn of the event loop goes along, which saves a round trip
  if (early().length === 0) await setImmediate();
  const bytes = Buffer.concat([head, early()]);
  if (bytes.length > 0) stream.write(bytes);
}

/** Takes the answer off the stream; bytes behind it go back, for whoever reads next. */
function readReply(stream: Duplex, signal?: AbortSignal): Promise<StreamReply> {
  const first = new FirstLine(MAX_LINE_BYTES);
  return new Promise((resolve, reject) => {
    const settle = (finish: () => void) => {
      stream.off("data", onData).off("end", onEnd).off("error", onEnd).off("close", onEnd);
      signal?.removeEventListener("abort", onAbort);
      stream.pause();
      finish();
    };
    const fail = (why: string) => {
      stream.destroy();
      settle(() => reject(new AegisError("guest_unreachable", `The harness did not answer: ${why}.`)));
    };
    const onData = (chunk: Uint8Array) => {
      try {
        const taken = first.push(chunk);
        if (taken === null) return;
        const reply = parseReply(taken.line);
        settle(() => {
          if (taken.rest.length > 0) stream.unshift(taken.rest);
          resolve(reply);
        });
      } catch (error) {
        fail(messageOf(error));
      }
    };
    const onEnd = () => fail("the stream ended");
    const onAbort = () => fail("it was cancelled");
    stream.on("data", onData).on("end", onEnd).on("error", onEnd).on("close", onEnd);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

function parseReply(line: string): StreamReply {
  const reply: unknown = JSON.parse(line);
  if (typeof reply === "object" && reply !== null && "ok" in reply) {
    if (reply.ok === true) return reply as StreamReply;
    if ("code" in reply && "error" in reply)
      return { ok: false, code: String(reply.code) as StreamErrorCode, error: String(reply.error) };
  }
  throw new SyntaxError("it sent no reply line");
}
