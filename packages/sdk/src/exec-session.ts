import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import type { ProcessExit } from "@aegis/protocol/control";
import { AegisError } from "@aegis/protocol/errors";
import { encodeFrame, encodeTextFrame, FrameDecoder, FrameType } from "@aegis/protocol/exec-frame";
import type { ExecRequest } from "@aegis/protocol/exec";
import type { WebSocket } from "ws";
import { isErrorBody } from "./error-body.ts";
import { errorOf, type UnixHttp } from "./unix-http.ts";

export interface TerminalSize {
  cols: number;
  rows: number;
}

/** `size` only with `tty`. `stdin` is not part of it: input goes through {@link ExecSession.write}. */
export type ExecSessionRequest = Omit<ExecRequest, "stdin"> & { size?: TerminalSize; signal?: AbortSignal };

export type ExecOutput =
  | { kind: "stdout"; bytes: Uint8Array }
  | { kind: "stderr"; bytes: Uint8Array }
  | { kind: "exit"; exit: ProcessExit };

/** A command in an instance with its input and output as raw bytes. */
export class ExecSession {
  readonly execId: string;
  readonly startedAt: string;
  readonly #channel: Channel;

  constructor(opened: { exec_id: string; started_at: string }, channel: Channel) {
    this.execId = opened.exec_id;
    this.startedAt = opened.started_at;
    this.#channel = channel;
  }

  /** Settles when there is room for more. Input after the command has ended is dropped. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let start = 0; start < bytes.length; start += INPUT_BYTES)
      await this.#send(encodeFrame(FrameType.stdin, bytes.subarray(start, start + INPUT_BYTES)));
  }

  endInput(): Promise<void> {
    return this.#send(encodeFrame(FrameType.stdinEnd));
  }

  resize(size: TerminalSize): Promise<void> {
    return this.#send(encodeTextFrame(FrameType.resize, JSON.stringify({ cols: size.cols, rows: size.rows })));
  }

  /** @param name as in `SIGINT` */
  signal(name: string): Promise<void> {
    return this.#send(encodeTextFrame(FrameType.signal, name));
  }

  /** Output as it comes; the last one is the exit. To be read once. @throws AegisError when the stream breaks before it */
  async *output(): AsyncGenerator<ExecOutput> {
    const decoder = new FrameDecoder();
    try {
      for (let message = await this.#channel.next(); message !== null; message = await this.#channel.next()) {
        for (const frame of decoder.push(bytesOf(message))) {
          const output = outputOf(frame.type, frame.payload);
          yield output;
          if (output.kind === "exit") return;
        }
      }
      throw new AegisError(
        "guest_unreachable",
        "the command was cut off before it ended: is the instance still running?",
      );
    } finally {
      this.close();
    }
  }

  /** Ends the stream; a command that still runs is ended with it. */
  close(): void {
    this.#channel.close();
  }

  #send(frame: Uint8Array): Promise<void> {
    return this.#channel.send(frame);
  }
}

/** A WebSocket with back-pressure both ways. */
class Channel {
  readonly #socket: WebSocket;
  readonly #stream: Duplex;
  readonly #messages: AsyncIterator<unknown>;

  constructor(socket: WebSocket, stream: Duplex) {
    this.#socket = socket;
    this.#stream = stream;
    this.#messages = stream[Symbol.asyncIterator]();
  }

  /** Text as string, binary as bytes; null at the end. */
  async next(): Promise<unknown> {
    try {
      const { done, value } = await this.#messages.next();
      return done === true ? null : value;
    } catch (cause) {
      throw new AegisError("guest_unreachable", "the connection to the command broke: is aegisd still running?", {
        cause,
      });
    }
  }

  /** Not through the stream: a peer that is already gone would end it before what it still said is read. */
  send(message: Uint8Array | string): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.readyState !== this.#socket.OPEN) resolve();
      else this.#socket.send(message, () => resolve());
    });
  }

  close(): void {
    this.#stream.destroy();
  }
}

const INPUT_BYTES = 64 * 1024;

/** @throws AegisError when the command could not be started */
export async function openExecSession(http: UnixHttp, path: string, request: ExecSessionRequest): Promise<ExecSession> {
  const { size, signal, ...exec } = request;
  const channel = await openChannel(http, `ws://aegisd${path}`, signal);
  // not in the URL, which has room for 16 KiB
  await channel.send(JSON.stringify({ ...exec, ...size }));
  const first = await channel.next();
  const opened: unknown = typeof first === "string" ? JSON.parse(first) : null;
  if (isOpened(opened)) return new ExecSession(opened, channel);
  channel.close();
  if (isErrorBody(opened)) throw AegisError.fromBody(opened);
  throw new AegisError("internal", "aegisd closed the exec without saying why: see its log, data/aegisd.log");
}

async function openChannel(http: UnixHttp, url: string, signal: AbortSignal | undefined): Promise<Channel> {
  const { createWebSocketStream, WebSocket: Socket } = await import("ws");
  signal?.throwIfAborted();
  const socket = new Socket(url, {
    createConnection: () => connect(http.socketPath),
    perMessageDeflate: false,
  });
  const stream = createWebSocketStream(socket, { readableObjectMode: true });
  signal?.addEventListener("abort", () => stream.destroy(), { once: true });
  // after the opening, an error of the stream ends output() instead
  stream.on("error", () => stream.destroy());
  await new Promise<void>((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", (cause) => reject(http.connectionError(cause)));
    socket.once("unexpected-response", (_request, answer) => {
      text(answer).then((body) => reject(errorOf(answer.statusCode ?? 0, body)), reject);
    });
  });
  return new Channel(socket, stream);
}

function outputOf(type: FrameType, payload: Uint8Array): ExecOutput {
  switch (type) {
    case FrameType.stdout:
      return { kind: "stdout", bytes: payload };
    case FrameType.stderr:
      return { kind: "stderr", bytes: payload };
    case FrameType.exit:
      return { kind: "exit", exit: JSON.parse(new TextDecoder().decode(payload)) as ProcessExit };
    case FrameType.stdin:
    case FrameType.stdinEnd:
    case FrameType.resize:
    case FrameType.signal:
      throw new AegisError("internal", "aegisd sent a frame that only a client may send: is it the same version?");
  }
}

/** Output is bytes; text is the error that ended the command's stream. */
function bytesOf(message: unknown): Uint8Array {
  if (message instanceof Uint8Array) return message;
  const body: unknown = typeof message === "string" ? JSON.parse(message) : null;
  if (isErrorBody(body)) throw AegisError.fromBody(body);
  throw new AegisError("internal", "aegisd sent text where bytes belong: is it the same version?");
}

const isOpened = (value: unknown): value is { exec_id: string; started_at: string } =>
  typeof value === "object" && value !== null && "exec_id" in value && "started_at" in value;
