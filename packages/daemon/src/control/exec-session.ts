import type { Duplex } from "node:stream";
import { AegisError } from "@aegis/protocol/errors";
import { FrameDecoder, FrameType, encodeFrame } from "@aegis/protocol/exec-frame";
import type { Frame } from "@aegis/protocol/exec-frame";
import type { ExecSession } from "../core/harness.ts";
import { exitFrame } from "./harness-claims.ts";

const FROM_HARNESS: ReadonlySet<FrameType> = new Set([FrameType.stdout, FrameType.stderr, FrameType.exit]);

/** Frames over one stream to the harness. A malformed frame ends the session. */
export class StreamExecSession implements ExecSession {
  readonly frames: AsyncIterable<Frame>;
  readonly #stream: Duplex;

  constructor(stream: Duplex) {
    this.#stream = stream;
    this.frames = decode(stream);
    stream.on("error", () => stream.destroy());
  }

  async send(type: FrameType, payload?: Uint8Array): Promise<void> {
    if (this.#stream.destroyed || this.#stream.write(encodeFrame(type, payload))) return;
    // What ends the stream is no failure of the one who writes: the frames tell.
    await new Promise<void>((resolve) => {
      const settle = (): void => {
        this.#stream.off("drain", settle).off("close", settle);
        resolve();
      };
      this.#stream.on("drain", settle).on("close", settle);
    });
  }

  close(): void {
    this.#stream.destroy();
  }
}

/** @throws AegisError `guest_unreachable` for what a harness never sends */
function framesOf(decoder: FrameDecoder, chunk: Uint8Array): Frame[] {
  try {
    const frames = decoder.push(chunk);
    for (const { type, payload } of frames) {
      if (!FROM_HARNESS.has(type)) throw new RangeError(`frame type ${type}`);
      if (type === FrameType.exit) exitFrame(payload);
    }
    return frames;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new AegisError("guest_unreachable", `The harness of the instance sent a malformed ${error.message}.`);
  }
}

async function* decode(stream: Duplex): AsyncGenerator<Frame> {
  const decoder = new FrameDecoder();
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      for (const frame of framesOf(decoder, chunk)) {
        yield frame;
        if (frame.type === FrameType.exit) return;
      }
    }
  } catch (error) {
    // A machine that is killed resets its streams: an end like any other.
    if (error instanceof AegisError || !(error instanceof Error && "code" in error)) throw error;
  }
}
