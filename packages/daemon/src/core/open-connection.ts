import type { Duplex } from "node:stream";
import type { EndpointProtocol } from "@aegis/protocol/instance";

/** What a connection does to its instance. */
export interface Wakefulness {
  /** keeps it awake until the returned function is called */
  hold: () => () => void;
  /** it is awake now: the time until it counts as idle begins anew */
  touch: () => void;
  /** the same, and wakes it when it is paused */
  nudge: () => void;
}

/** `unknown` until the first bytes: a browser opens connections that it may never use. */
type Nature = "unknown" | "http" | "tunnel";

/**
 * A connection from outside, and how long it keeps its instance awake. HTTP/1 does so from a request to its answer, and
 * each further byte is one more sign of life; a connection that is merely kept open is none. Everything else (a TCP
 * endpoint, an upgrade to WebSocket, a protocol that we do not know) does so for as long as it is open.
 */
export class OpenConnection {
  readonly stream: Duplex;
  readonly #wakefulness: Wakefulness;
  #nature: Nature;
  #release: (() => void) | null = null;

  constructor(stream: Duplex, protocol: EndpointProtocol, wakefulness: Wakefulness) {
    this.stream = stream;
    this.#wakefulness = wakefulness;
    this.#nature = protocol === "http" ? "unknown" : "tunnel";
    if (this.#nature === "tunnel") this.#hold();
    else stream.on("data", (chunk: Uint8Array) => this.#fromInside(chunk));
    stream.once("close", () => this.#letGo());
  }

  /** Bytes that are on their way in. */
  fromOutside(chunk: Uint8Array): void {
    this.#wakefulness.nudge();
    if (this.#nature === "unknown") this.#nature = isHttp1Request(chunk) ? "http" : "tunnel";
    this.#hold();
  }

  /** An HTTP/1 request is on its way in. */
  asked(): void {
    this.#nature = "http";
    this.#hold();
  }

  #fromInside(chunk: Uint8Array): void {
    if (this.#nature === "tunnel") return;
    // whoever speaks first is no HTTP server
    if (this.#nature === "unknown" || isUpgrade(chunk)) {
      this.#nature = "tunnel";
      return this.#hold();
    }
    this.#letGo();
    this.#wakefulness.touch();
  }

  #hold(): void {
    if (!this.stream.destroyed) this.#release ??= this.#wakefulness.hold();
  }

  #letGo(): void {
    this.#release?.();
    this.#release = null;
  }
}

const REQUEST_LINE = /^[A-Z]+ (\/|https?:)/;
const UPGRADE = "HTTP/1.1 101";

const startOf = (chunk: Uint8Array): string => Buffer.from(chunk.subarray(0, 32)).toString("latin1");
const isHttp1Request = (chunk: Uint8Array): boolean => REQUEST_LINE.test(startOf(chunk));
/** Asked of every chunk: most are told by their first byte. */
const isUpgrade = (chunk: Uint8Array): boolean =>
  chunk[0] === UPGRADE.charCodeAt(0) && startOf(chunk).startsWith(UPGRADE);
