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

export type NotificationHandler = (method: string, params: unknown) => void;

/** JSON-RPC 2.0 over one stream, one message a line. Whatever the guest sends that is no such message ends the stream. */
export class RpcChannel {
  readonly closed: Promise<void>;
  readonly #stream: Duplex;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

  constructor(stream: Duplex, onNotification: NotificationHandler) {
    this.#stream = stream;
    const lines = new LineSplitter(MAX_LINE_BYTES);
    stream.on("data", (chunk: Uint8Array) => {
      try {
        for (const line of lines.push(chunk)) this.#take(JSON.parse(line), onNotification);
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

  request<M extends keyof HostRequests>(
    method: M,
    params: HostRequests[M]["params"],
  ): Promise<HostRequests[M]["result"]> {
    const id = this.#nextId++;
    return new Promise<HostRequests[M]["result"]>((resolve, reject) => {
      if (this.#stream.destroyed) return reject(gone());
      this.#pending.set(id, { resolve: (result) => resolve(result as HostRequests[M]["result"]), reject });
      this.#send({ id, method, params });
    });
  }

  notify<M extends keyof HostNotifications>(method: M, params: HostNotifications[M]): void {
    if (!this.#stream.destroyed) this.#send({ method, params });
  }

  close(): void {
    this.#stream.destroy();
  }

  #send(message: { id?: number; method: string; params: unknown }): void {
    this.#stream.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  }

  #take(message: unknown, onNotification: NotificationHandler): void {
    if (typeof message !== "object" || message === null) throw new TypeError("not a JSON-RPC message");
    if ("method" in message) {
      return onNotification(String(message.method), "params" in message ? message.params : undefined);
    }
    const id = "id" in message ? Number(message.id) : Number.NaN;
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
  const message = "message" in error ? String(error.message) : "the harness failed";
  const data = "data" in error && typeof error.data === "object" ? error.data : null;
  return toAegisError(data !== null && "code" in data ? String(data.code) : "", message);
}
