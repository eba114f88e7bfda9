import type { Duplex } from "node:stream";
import { AegisError } from "@aegis/protocol/errors";
import type { Instance } from "../core/instance.ts";

/** Connections of one instance at a time; each costs the daemon a descriptor and some memory. */
const MAX_CONNECTIONS = 128;
/** How long a refused client may take to read the refusal, in ms. */
const LINGER_MS = 1000;

/** Whose connection is whose, and how many each instance has. */
export class GuestConnections {
  readonly #callers = new WeakMap<object, Instance>();
  readonly #counts = new WeakMap<Instance, number>();

  /** @returns false when it has too many; the connection was then answered and is closed */
  add(stream: Duplex, instance: Instance): boolean {
    const count = this.#counts.get(instance) ?? 0;
    if (count >= MAX_CONNECTIONS) {
      refuse(stream);
      return false;
    }
    this.#counts.set(instance, count + 1);
    stream.once("close", () => this.#counts.set(instance, (this.#counts.get(instance) ?? 1) - 1));
    this.#callers.set(stream, instance);
    return true;
  }

  callerOf(stream: Duplex): Instance | null {
    return this.#callers.get(stream) ?? null;
  }
}

function refuse(stream: Duplex): void {
  const error = new AegisError(
    "quota_exceeded",
    `This instance has ${MAX_CONNECTIONS} connections to the Guest API open, which is the most it may have. Close some, then try again.`,
  );
  const body = JSON.stringify(error.toBody());
  const head = ["HTTP/1.1 429 Too Many Requests", "Content-Type: application/json; charset=utf-8"];
  stream.end(
    `${[...head, `Content-Length: ${Buffer.byteLength(body)}`, "Connection: close"].join("\r\n")}\r\n\r\n${body}`,
  );
  stream.resume(); // closing with unread input would lose the answer
  setTimeout(() => stream.destroy(), LINGER_MS).unref();
}
