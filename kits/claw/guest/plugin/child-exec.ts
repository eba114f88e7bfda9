import { encodeFrame, FrameDecoder, FrameType } from "@aegis/protocol/exec-frame";
import { CUT_OFF, childSocket, framesOf, sendInput } from "./child-socket.ts";

/** A command for a child, with its input and output as bytes. */
export interface ChildJob {
  command: string[];
  input?: Uint8Array;
  signal?: AbortSignal | undefined;
  /** of its output and of its errors, each */
  maxBytes: number;
}

export interface Ended {
  code: number;
  stdout: Buffer;
  stderr: Buffer;
}

/**
 * Runs it to its end, from within this process: a process for each command would cost several times as much.
 * @param base `AEGIS_GUEST_API`
 * @throws GuestApiError when it is refused; Error when it is cut off or prints too much; the signal's reason
 */
export async function runInChild(base: string, id: string, job: ChildJob): Promise<Ended> {
  job.signal?.throwIfAborted();
  const socket = childSocket(base, id);
  const { promise, resolve, reject } = Promise.withResolvers<Ended>();
  const output = new JobOutput(job.maxBytes);
  const abort = () => reject(job.signal?.reason);
  job.signal?.addEventListener("abort", abort, { once: true });
  socket.addEventListener("open", () => sendJob(socket, job));
  socket.addEventListener("message", ({ data }) => {
    try {
      const ended = output.take(data);
      if (ended !== null) resolve(ended);
    } catch (error) {
      reject(error);
    }
  });
  socket.addEventListener("close", () => reject(new Error(CUT_OFF)));
  try {
    return await promise;
  } finally {
    job.signal?.removeEventListener("abort", abort);
    // ends a command that still runs
    socket.close();
  }
}

/** The host reads ahead: nothing has to be waited for. */
function sendJob(socket: WebSocket, { command, input = new Uint8Array(0) }: ChildJob): void {
  socket.send(JSON.stringify({ command }));
  sendInput(socket, input);
  socket.send(encodeFrame(FrameType.stdinEnd));
}

class JobOutput {
  readonly #decoder = new FrameDecoder();
  readonly #streams: { stdout: Bytes; stderr: Bytes };

  constructor(maxBytes: number) {
    this.#streams = { stdout: new Bytes(maxBytes), stderr: new Bytes(maxBytes) };
  }

  /** @returns what came of it, with the last message */
  take(message: unknown): Ended | null {
    for (const { type, payload } of framesOf(this.#decoder, message)) {
      if (type === FrameType.stdout) this.#streams.stdout.add(payload);
      if (type === FrameType.stderr) this.#streams.stderr.add(payload);
      if (type === FrameType.exit) return this.#ended(JSON.parse(Buffer.from(payload).toString()) as { code: number });
    }
    return null;
  }

  #ended({ code }: { code: number }): Ended {
    return { code, stdout: this.#streams.stdout.all(), stderr: this.#streams.stderr.all() };
  }
}

class Bytes {
  readonly #max: number;
  readonly #chunks: Buffer[] = [];
  #length = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add(chunk: Uint8Array): void {
    this.#length += chunk.length;
    if (this.#length > this.#max)
      throw new Error(`it printed more than ${this.#max} bytes, which is all that is taken`);
    this.#chunks.push(Buffer.from(chunk));
  }

  all(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}
