import { Duplex } from "node:stream";
import { duplexOf } from "../../src/mux/duplex-handlers.ts";
import { MuxGuestEnd } from "../../src/mux/guest-end.ts";
import { MuxHostEnd } from "../../src/mux/host-end.ts";

/** Cuts what is carried at random, and says how much is carried at a time. */
export type Carry = (most: number) => number;

/** A serial port that one guest and one host after the other hold; bytes move only when {@link step} is called. */
export class Channel {
  readonly guest: MuxGuestEnd;
  host: MuxHostEnd;
  readonly #carry: Carry;
  #toGuest = Buffer.alloc(0);
  #toHost = Buffer.alloc(0);
  #hosts = 0;

  /** @param serve gets the guest's ends of streams */
  constructor(carry: Carry, serve: (stream: Duplex) => void) {
    this.#carry = carry;
    this.guest = new MuxGuestEnd({
      opened: (stream) => serve(duplexOf(stream, (handlers) => new Duplex(handlers)).on("error", () => undefined)),
      wake: () => undefined,
    });
    this.host = this.#newHost();
  }

  /** @returns null when there are too many */
  dial(): Duplex | null {
    const stream = this.host.open();
    return stream === null ? null : duplexOf(stream, (handlers) => new Duplex(handlers)).on("error", () => undefined);
  }

  /**
   * Another host takes over: what the old one had sent is on its way, but for an end that is cut off; what the guest had
   * sent comes to the new one.
   */
  replaceHost(cutOff: number): void {
    this.host.close(new Error("killed"));
    this.#toGuest = this.#toGuest.subarray(0, Math.max(0, this.#toGuest.length - cutOff));
    this.host = this.#newHost();
  }

  /** Moves some bytes in both directions. @returns whether there were any */
  step(): boolean {
    const out = this.#some(this.host.peek());
    if (out !== null) this.host.took(out.length);
    const back = this.#some(this.guest.peek());
    if (back !== null) this.guest.took(back.length);
    this.#toGuest = Buffer.concat([this.#toGuest, ...(out === null ? [] : [out])]);
    this.#toHost = Buffer.concat([this.#toHost, ...(back === null ? [] : [back])]);
    const arrived = this.#carry(this.#toGuest.length);
    const returned = this.#carry(this.#toHost.length);
    const [toGuest, toHost] = [this.#toGuest.subarray(0, arrived), this.#toHost.subarray(0, returned)];
    this.#toGuest = this.#toGuest.subarray(arrived);
    this.#toHost = this.#toHost.subarray(returned);
    if (arrived > 0) this.guest.receive(toGuest);
    if (returned > 0) this.host.receive(toHost);
    return out !== null || back !== null || arrived > 0 || returned > 0;
  }

  /** Goes on until nothing moves any more, the turns of streams included. */
  async settle(): Promise<void> {
    for (let idle = 0; idle < 3;) {
      idle = this.step() ? 0 : idle + 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #some(bytes: Uint8Array | null): Uint8Array | null {
    return bytes === null ? null : bytes.slice(0, Math.max(1, this.#carry(bytes.length)));
  }

  #newHost(): MuxHostEnd {
    this.#hosts += 1;
    return new MuxHostEnd(new Uint8Array(16).fill(this.#hosts), () => undefined);
  }
}
