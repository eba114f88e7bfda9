import type { Duplex } from "node:stream";
import { MAX_LINE_BYTES } from "@aegis/protocol/control";
import type { HostNotifications, HostRequests } from "@aegis/protocol/control";
import { AegisError } from "@aegis/protocol/errors";
import { LineSplitter } from "@aegis/protocol/line-splitter";
import { toAegisError } from "./open-stream.ts";

interface Pending {
  resolve: (result: unknown) => void;
  reject: (error: Error) => void;
}

/** @returns a promise where no more should be read before it is settled */
export type NotificationHandler = (method: string, params: unknown) => void | Promise<void>;

/** What may wait for a peer to read it. A harness reads at once; one that does not would have us keep it all. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;

/** JSON-RPC 2.0 over one stream, one message a line. Whatever the guest sends that is no such message ends the stream. */
export class RpcChannel {
  readonly closed: Promise<void>;
  readonly #stream: Duplex;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #held = 0;

  constructor(stream: Duplex, onNotification: NotificationHandler) {
    this.#stream = stream;
    const lines = new LineSplitter(MAX_LINE_BYTES);
    stream.on("data", (chunk: Uint8Array) => {
      try {
        for (const line of lines.push(chunk)) this.#hold(this.#take(JSON.parse(line), onNotification));
      } catch (error) {
        stream.destroy(error instanceof Error ? error : new Error(String(error)));
      }
    });
    stream.on("error", () => stream.destroy());
    stream.resume();
    this.closed = new Promise((resolve) => {
      const end = () => {
        this.#failAll();
        stream.destroy();
        resolve();
      };
      stream.once("close", end).once("end", end);
    });
  }

  /**
   * @returns what the peer answers: whoever asks checks it
   * @throws AegisError `guest_unreachable` without an answer in time, upon which the stream ends
   */
  request<M extends keyof HostRequests>(
    method: M,
    params: HostRequests[M]["params"],
    timeoutMs: number,
  ): Promise<unknown> {
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    if (this.#stream.destroyed) return Promise.reject(gone());
    const timer = setTimeout(() => {
      reject(new AegisError("guest_unreachable", `The harness of the instance did not answer (${method}).`));
      this.#stream.destroy();
    }, timeoutMs);
    this.#pending.set(id, { resolve, reject });
    this.#send({ id, method, params });
    return promise.finally(() => clearTimeout(timer));
  }

  notify<M extends keyof HostNotifications>(method: M, params: HostNotifications[M]): void {
    if (!this.#stream.destroyed) this.#send({ method, params });
  }

  close(): void {
    this.#stream.destroy();
  }

  #send(message: { id?: number; method: string; params: unknown }): void {
    this.#stream.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
    if (this.#stream.writableLength > MAX_UNREAD_BYTES) this.#stream.destroy();
  }

  /** Reads no further until the promise has settled: what the peer sends meanwhile waits on its side. */
  #hold(settled: void | Promise<void>): void {
    if (settled === undefined) return;
    this.#held += 1;
    this.#stream.pause();
    const go = (): void => {
      this.#held -= 1;
      if (this.#held === 0 && !this.#stream.destroyed) this.#stream.resume();
    };
    settled.then(go, go);
  }

  #take(message: unknown, onNotification: NotificationHandler): void | Promise<void> {
    if (typeof message !== "object" || message === null) throw new TypeError("not a JSON-RPC message");
    if ("method" in message) {
      if (typeof message.method !== "string") throw new TypeError("not a JSON-RPC message");
      return onNotification(message.method, "params" in message ? message.params : undefined);
    }
    const id = "id" in message && typeof message.id === "number" ? message.id : Number.NaN;
    const waiting = this.#pending.get(id);
    if (waiting === undefined) return;
    this.#pending.delete(id);
    if ("error" in message) waiting.reject(toError(message.error));
    else waiting.resolve("result" in message ? message.result : undefined);
  }

  #failAll(): void {
    for (const { reject } of this.#pending.values()) reject(gone());
    this.#pending.clear();
  }
}

const gone = () => new AegisError("guest_unreachable", "The control stream to the instance has ended.");

function toError(error: unknown): AegisError {
  if (typeof error !== "object" || error === null) return toAegisError("", "the harness sent a malformed error");
  const message = "message" in error && typeof error.message === "string" ? error.message : "the harness failed";
  const data = "data" in error && typeof error.data === "object" ? error.data : null;
  return toAegisError(data !== null && "code" in data && typeof data.code === "string" ? data.code : "", message);
}
