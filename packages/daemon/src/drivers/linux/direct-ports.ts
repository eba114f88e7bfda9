import net from "node:net";

/** A kernel answers at once, also for frozen processes; one that does not leaves the way through the harness. */
const CONNECT_TIMEOUT_MS = 1_000;
/** how long a connection to a machine that has ended may still have something to say */
const LAST_WORDS_MS = 1_000;

/**
 * Connections over an instance's network link to TCP ports that are open on all of its addresses: the kernel takes them,
 * and what is sent, even while every process inside is frozen, and nothing copies bytes in between.
 */
export class DirectPorts {
  readonly #address: string;
  readonly #open = new Set<net.Socket>();
  #ended = false;

  /**
   * @param address of the instance, IPv4
   * @param machineEnds a machine that is killed ends no connection by itself, so that is done here
   */
  constructor(address: string, machineEnds: Promise<unknown>) {
    this.#address = address;
    void machineEnds.then(() => this.#end());
  }

  /** @returns half-open, or null when the port is not open on that address. @throws the signal's reason */
  dial(port: number, signal?: AbortSignal): Promise<net.Socket | null> {
    signal?.throwIfAborted();
    if (this.#ended) return Promise.resolve(null);
    const socket = net.connect({ host: this.#address, port, allowHalfOpen: true, noDelay: true });
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void): void => {
        socket.setTimeout(0);
        socket.off("connect", connected).off("error", refused).off("timeout", refused);
        signal?.removeEventListener("abort", aborted);
        finish();
      };
      const connected = (): void => settle(() => resolve(this.#track(socket)));
      const refused = (): void => {
        settle(() => resolve(null));
        discard(socket);
      };
      const aborted = (): void => {
        settle(() => reject(signal?.reason as Error));
        discard(socket);
      };
      socket.setTimeout(CONNECT_TIMEOUT_MS);
      socket.on("connect", connected).on("error", refused).on("timeout", refused);
      signal?.addEventListener("abort", aborted, { once: true });
    });
  }

  #track(socket: net.Socket): net.Socket {
    this.#open.add(socket);
    socket.once("close", () => this.#open.delete(socket));
    if (this.#ended) hurry(socket);
    return socket;
  }

  #end(): void {
    this.#ended = true;
    for (const socket of this.#open) hurry(socket);
  }
}

function hurry(socket: net.Socket): void {
  socket.setTimeout(LAST_WORDS_MS, () => socket.destroy());
}

/** An error that comes now is nobody's. */
function discard(socket: net.Socket): void {
  socket.on("error", () => undefined);
  socket.destroy();
}
