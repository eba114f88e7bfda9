import type { Duplex } from "node:stream";
import { MAX_LINE_BYTES, type RpcError, type RpcMessage } from "@aegis/protocol/control";
import { LineSplitter } from "@aegis/protocol/line-splitter";
import { messageOf } from "@aegis/protocol/errors";
import { GuestError } from "./guest-error.ts";
import type { Notification, Outlet } from "./host-link.ts";
import { isRecord, parseJson } from "./json-shape.ts";
import { RpcCode, RpcFailure } from "./rpc-failure.ts";

/** Who answers the host. */
export interface ControlHandler {
  /** @throws GuestError, RpcFailure */
  request(method: string, params: unknown): Promise<unknown>;
  notification(method: string, params: unknown): void;
  drained(stream: ControlStream): void;
  closed(stream: ControlStream): void;
}

/** One control stream: JSON-RPC lines both ways. Whoever sends what is no JSON-RPC loses the stream, nothing else. */
export class ControlStream implements Outlet {
  readonly #socket: Duplex;
  readonly #handler: ControlHandler;
  readonly #lines = new LineSplitter(MAX_LINE_BYTES);

  constructor(socket: Duplex, handler: ControlHandler) {
    this.#socket = socket;
    this.#handler = handler;
  }

  /** Takes the socket over from behind its header. */
  start(): void {
    this.#socket.on("data", (chunk) => this.#take(chunk));
    this.#socket.on("drain", () => this.#handler.drained(this));
    this.#socket.on("end", () => this.#socket.destroy());
    this.#socket.on("close", () => this.#handler.closed(this));
    this.#socket.resume();
  }

  notify(notifications: Notification[]): boolean {
    return this.#send(notifications.map((notification) => ({ jsonrpc: "2.0", ...notification })));
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Settles when all that was sent has left this process, or cannot any more. */
  end(): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.once("close", () => resolve());
      this.#socket.end(() => resolve());
    });
  }

  #take(chunk: Uint8Array): void {
    try {
      for (const line of this.#lines.push(chunk)) this.#takeLine(line);
    } catch {
      this.close(); // a line beyond the limit
    }
  }

  #takeLine(line: string): void {
    const message = parseJson(line);
    if (!isRecord(message) || typeof message["method"] !== "string") return this.close();
    const { id, method, params } = message;
    if (typeof id === "number") void this.#answer(id, method, params);
    else this.#handler.notification(method, params);
  }

  async #answer(id: number, method: string, params: unknown): Promise<void> {
    try {
      this.#send([{ jsonrpc: "2.0", id, result: await this.#handler.request(method, params) }]);
    } catch (thrown) {
      this.#send([{ jsonrpc: "2.0", id, error: rpcError(thrown) }]);
    }
  }

  #send(messages: RpcMessage[]): boolean {
    if (this.#socket.destroyed) return true;
    return this.#socket.write(messages.map((message) => `${JSON.stringify(message)}\n`).join(""));
  }
}

function rpcError(thrown: unknown): RpcError {
  if (thrown instanceof GuestError)
    return { code: RpcCode.refused, message: thrown.message, data: { code: thrown.code } };
  if (thrown instanceof RpcFailure) return { code: thrown.rpcCode, message: thrown.message };
  return { code: RpcCode.internal, message: `The harness failed: ${messageOf(thrown)}` };
}
