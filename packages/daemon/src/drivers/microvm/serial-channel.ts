import { randomBytes } from "node:crypto";
import { once } from "node:events";
import net from "node:net";
import { Duplex } from "node:stream";
import { AegisError } from "@aegis/protocol/errors";
import { duplexOf } from "@aegis/protocol/mux/duplex-handlers";
import { MuxHostEnd } from "@aegis/protocol/mux/host-end";
import { NONCE_BYTES } from "@aegis/protocol/mux/resync";

/**
 * All streams to the harness of a virtual machine, over the one unix socket that QEMU gives its serial port. One daemon
 * at a time is connected; the next one begins anew, wherever this one stopped. It does not connect again by itself.
 */
export class SerialChannel {
  /** Settles once, with the reason: the virtual machine is gone, or its harness broke the protocol. Never rejects. */
  readonly closed: Promise<AegisError>;
  readonly #socket: net.Socket;
  readonly #end = new MuxHostEnd(randomBytes(NONCE_BYTES), () => this.#wake());
  readonly #tellClosed: (reason: AegisError) => void;
  #failure: AegisError | null = null;
  #isAwake = false;
  #isFull = false;

  /**
   * @param path of the socket; a connection waits there, as long as an older one lives
   * @throws AegisError `guest_unreachable` when no virtual machine has it
   */
  static async connect(path: string, signal?: AbortSignal): Promise<SerialChannel> {
    signal?.throwIfAborted();
    const socket = net.connect({ path });
    try {
      await once(socket, "connect", signal === undefined ? {} : { signal });
    } catch (error) {
      socket.destroy();
      if (signal?.aborted === true) throw error;
      throw unreachable("its virtual machine is gone", error);
    }
    return new SerialChannel(socket);
  }

  private constructor(socket: net.Socket) {
    const { promise, resolve } = Promise.withResolvers<AegisError>();
    this.closed = promise;
    this.#tellClosed = resolve;
    this.#socket = socket;
    socket.on("data", (chunk) => this.#receive(chunk));
    socket.on("drain", () => this.#room());
    socket.on("error", (error) => this.#fail(unreachable("its virtual machine is gone", error)));
    socket.on("close", () => this.#fail(unreachable("its virtual machine is gone")));
    this.#wake();
  }

  /**
   * A fresh stream, without waiting for the guest: what is written to it is delivered when the guest takes it.
   * @throws AegisError `guest_unreachable` when the channel is closed or full of streams
   */
  dial(signal?: AbortSignal): Duplex {
    signal?.throwIfAborted();
    if (this.#failure !== null) throw this.#failure;
    const stream = this.#end.open();
    if (stream === null) throw unreachable("as many streams as there may be lead to it already");
    const duplex = duplexOf(stream, (handlers) => new Duplex(handlers));
    duplex.on("error", () => undefined); // it may break before anybody listens
    return duplex;
  }

  /** Breaks all streams; idempotent. */
  close(): void {
    this.#fail(unreachable("the channel to it was closed"));
  }

  #receive(chunk: Uint8Array): void {
    try {
      this.#end.receive(chunk);
    } catch (error) {
      this.#fail(unreachable("its harness does not keep to the protocol", error));
    }
  }

  /** Once for all that is written in a turn. */
  #wake(): void {
    if (this.#isAwake || this.#isFull) return;
    this.#isAwake = true;
    queueMicrotask(() => {
      this.#isAwake = false;
      this.#write();
    });
  }

  #room(): void {
    this.#isFull = false;
    this.#write();
  }

  #write(): void {
    for (let bytes = this.#end.peek(); bytes !== null && !this.#isFull; bytes = this.#end.peek()) {
      this.#isFull = !this.#socket.write(bytes);
      this.#end.took(bytes.length);
    }
  }

  #fail(failure: AegisError): void {
    if (this.#failure !== null) return;
    this.#failure = failure;
    this.#end.close(failure);
    this.#socket.destroy();
    this.#tellClosed(failure);
  }
}

const unreachable = (why: string, cause?: unknown): AegisError =>
  new AegisError("guest_unreachable", `The instance does not answer: ${why}. Start the instance again.`, { cause });
