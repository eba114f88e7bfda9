import type { Duplex } from "node:stream";
import { AegisError } from "@aegis/protocol/errors";
import type { Machine } from "../core/driver.ts";
import type { ReverseStream } from "../core/harness.ts";
import { openStream } from "./open-stream.ts";

/** Calls of the Guest API and of bindings that one instance may have open at one time. */
const MAX_REVERSE_STREAMS = 256;
const ACCEPT_TIMEOUT_MS = 30_000;

/**
 * Streams that the inside of one machine asked for. Each is a descriptor of the daemon's, so there are only so many, and
 * whoever asks for one and then does not answer loses it.
 */
export class ReverseStreams {
  readonly #machine: Machine;
  readonly #refuse: (streamId: string, error: string) => void;
  #open = 0;

  constructor(machine: Machine, refuse: (streamId: string, error: string) => void) {
    this.#machine = machine;
    this.#refuse = refuse;
  }

  /** @returns null when there are too many: the asker has been told */
  offer(streamId: string): ReverseStream | null {
    if (this.#open >= MAX_REVERSE_STREAMS) {
      this.#refuse(streamId, `this instance has ${MAX_REVERSE_STREAMS} calls open already`);
      return null;
    }
    this.#open += 1;
    let isOpen = true;
    const release = (): void => {
      if (isOpen) this.#open -= 1;
      isOpen = false;
    };
    return {
      accept: async () => {
        try {
          const stream = await this.#dial(streamId);
          stream.once("close", release);
          if (stream.destroyed) release();
          return stream;
        } catch (error) {
          release();
          throw error;
        }
      },
      refuse: (error) => {
        if (isOpen) this.#refuse(streamId, error);
        release();
      },
    };
  }

  async #dial(streamId: string): Promise<Duplex> {
    const header = { kind: "accept", stream_id: streamId } as const;
    const opened = await openStream(this.#machine, header, AbortSignal.timeout(ACCEPT_TIMEOUT_MS));
    if ("refused" in opened) throw new AegisError("guest_unreachable", opened.refused.error);
    return opened.stream;
  }
}
