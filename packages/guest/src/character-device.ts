import { ownDevice, readNow, writeNow } from "./libc.ts";

const READ_BYTES = 64 * 1024;
/** What is read before others get their turn. */
const BYTES_A_TURN = 512 * 1024;
/** How long a full device is left alone, in ms. It says when it has input, not when it has room again. */
const RETRY_MS = { first: 1, most: 50 };

const STAY_MS = 3_600_000;

/** What a device is to carry. */
export interface DeviceUser {
  /** @param chunk of the user's own */
  receive(chunk: Uint8Array): void;
  hostGone(): void;
  peek(): Uint8Array | null;
  took(bytes: number): void;
}

/**
 * The port to the host of a virtual machine. Nothing waits in it, no thread either: reads and writes take what there is,
 * and SIGIO says when to look again, also when a host comes or goes.
 */
export class CharacterDevice {
  readonly #fd: number;
  readonly #user: DeviceUser;
  readonly #buffer = new Uint8Array(READ_BYTES);
  #hostIsThere = false;
  #isAwake = false;
  #isReading = false;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = RETRY_MS.first;

  constructor(fd: number, user: DeviceUser) {
    this.#fd = fd;
    this.#user = user;
  }

  start(): void {
    process.on("SIGIO", () => this.#look());
    ownDevice(this.#fd);
    this.#look(); // what was there before
    setInterval(() => this.#look(), STAY_MS); // a handler of a signal alone keeps no process alive
  }

  /** The user has something to send. */
  wake(): void {
    if (this.#isAwake) return;
    this.#isAwake = true;
    queueMicrotask(() => {
      this.#isAwake = false;
      this.#write();
    });
  }

  #look(): void {
    if (!this.#isReading) this.#read();
    this.#write();
  }

  #read(): void {
    this.#isReading = false;
    for (let bytes = 0; bytes < BYTES_A_TURN;) {
      const count = readNow(this.#fd, this.#buffer);
      if (count < 0) return;
      if (count === 0) return this.#hostLeft();
      this.#hostIsThere = true;
      this.#user.receive(this.#buffer.slice(0, count));
      bytes += count;
    }
    this.#isReading = true;
    setImmediate(() => this.#read());
  }

  #hostLeft(): void {
    if (!this.#hostIsThere) return;
    this.#hostIsThere = false;
    clearTimeout(this.#retry);
    this.#user.hostGone();
  }

  #write(): void {
    for (let bytes = this.#user.peek(); bytes !== null; bytes = this.#user.peek()) {
      const count = writeNow(this.#fd, bytes);
      if (count <= 0) return this.#writeLater();
      this.#retryMs = RETRY_MS.first;
      this.#user.took(count);
    }
  }

  #writeLater(): void {
    if (!this.#hostIsThere) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#write(), this.#retryMs);
    this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MS.most);
  }
}
