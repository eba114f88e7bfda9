import { encodeCredit, encodeMuxFrame, MAX_MUX_PAYLOAD_BYTES, MuxError, MuxFrameType } from "./frame.ts";

/** What a sender may send ahead of what the other side has taken. */
export const WINDOW_BYTES = 256 * 1024;
/** Credit is given in no smaller amounts, so that it is no flood. */
export const LEAST_CREDIT = WINDOW_BYTES / 4;
/** What a frame of data costs of the window at least, so that a window of tiny ones costs little memory. */
export const LEAST_COST = 256;

/** Who uses a stream. */
export interface StreamUser {
  /** {@link MuxStream.take} has something that it did not have before */
  arrived(): void;
  /** the stream is over for both directions */
  broken(error: Error): void;
}

type Ending = "open" | "fin" | "reset";
type Done = () => void;

const cost = (length: number): number => Math.max(length, LEAST_COST);

/** One stream of a session: what waits to be sent, what was received and not taken, and the credit of both. */
export class MuxStream {
  readonly id: number;
  readonly #work: (stream: MuxStream) => void;
  #user: StreamUser | null = null;
  #announced: boolean;

  readonly #inbox: Uint8Array[] = [];
  #received: Ending = "open";
  #receiveWindow = WINDOW_BYTES;
  #credit = 0;

  readonly #outbox: { bytes: Uint8Array; done: Done }[] = [];
  #sent: Ending = "open";
  #sendWindow = WINDOW_BYTES;
  #finish: Done | null = null;
  #mustReset = false;

  /**
   * @param work told when {@link nextFrame} has something to say
   * @param announced whether the other side knows of the stream
   */
  constructor(id: number, announced: boolean, work: (stream: MuxStream) => void) {
    this.id = id;
    this.#announced = announced;
    this.#work = work;
  }

  attach(user: StreamUser): void {
    this.#user = user;
  }

  // --- for the user -------------------------------------------------------------------------------------------------

  /** The next bytes that were received, "end" behind the last ones, null while there are none. */
  take(): Uint8Array | "end" | null {
    const bytes = this.#inbox.shift();
    if (bytes === undefined) return this.#received === "fin" ? "end" : null;
    this.#credit += cost(bytes.length);
    if (this.#owesCredit()) this.#work(this);
    return bytes;
  }

  /** @param done called when the channel has taken all of it, never when the stream breaks before */
  send(bytes: Uint8Array, done: Done): void {
    if (bytes.length === 0) return done();
    this.#outbox.push({ bytes, done });
    this.#work(this);
  }

  /** Ends this direction behind all that was sent. */
  finish(done: Done): void {
    this.#finish = done;
    this.#work(this);
  }

  /** Gives up both directions; nothing where both have ended. */
  reset(): void {
    this.#user = null;
    this.#inbox.length = 0;
    if (this.isOver || this.#mustReset || this.#sent === "reset") return;
    this.#abandonSending();
    this.#work(this);
  }

  // --- for the session ----------------------------------------------------------------------------------------------

  /** Both directions have ended, as far as the channel is concerned. */
  get isOver(): boolean {
    return this.#received !== "open" && this.#sent !== "open" && !this.#mustReset;
  }

  /** It was given up before the other side knew of it. */
  get wasNever(): boolean {
    return this.#mustReset && !this.#announced;
  }

  /** The next frame to send; null when there is nothing (yet). @param taken collects who wants to know that it is sent */
  nextFrame(taken: Done[]): Uint8Array | null {
    if (!this.#announced) {
      this.#announced = true;
      return encodeMuxFrame(MuxFrameType.open, this.id);
    }
    if (this.#mustReset) {
      this.#mustReset = false;
      this.#sent = "reset";
      return encodeMuxFrame(MuxFrameType.reset, this.id);
    }
    if (this.#owesCredit()) {
      const amount = this.#credit;
      this.#credit = 0;
      this.#receiveWindow += amount;
      return encodeCredit(this.id, amount);
    }
    if (this.#sent !== "open") return null;
    if (this.#outbox.length > 0) return this.#nextData(taken);
    if (this.#finish === null) return null;
    taken.push(this.#finish);
    this.#sent = "fin";
    return encodeMuxFrame(MuxFrameType.fin, this.id);
  }

  /** @throws MuxError */
  receiveData(payload: Uint8Array): void {
    if (this.#received !== "open") throw new MuxError("data behind the end of a stream");
    this.#receiveWindow -= cost(payload.length);
    if (this.#receiveWindow < 0) throw new MuxError("more data than the window of a stream allows");
    if (this.#user === null) return; // given up on this side
    this.#inbox.push(payload);
    this.#user.arrived();
  }

  /** @throws MuxError */
  receiveFin(): void {
    if (this.#received !== "open") throw new MuxError("a second end of a stream");
    this.#received = "fin";
    this.#user?.arrived();
  }

  /** @throws MuxError */
  receiveReset(): void {
    if (this.#received === "reset") throw new MuxError("a second reset of a stream");
    this.#received = "reset";
    if (this.#sent === "open") this.#abandonSending();
    this.#work(this);
    this.break(new Error("the other side closed the stream"));
  }

  /** @throws MuxError */
  receiveCredit(amount: number): void {
    this.#sendWindow += amount;
    if (amount < LEAST_CREDIT || this.#sendWindow > WINDOW_BYTES)
      throw new MuxError("credit for what was never sent on a stream");
    this.#work(this);
  }

  break(error: Error): void {
    const user = this.#user;
    this.#user = null;
    this.#inbox.length = 0;
    this.#outbox.length = 0;
    user?.broken(Object.assign(error, { code: "ECONNRESET" }));
  }

  #owesCredit(): boolean {
    return this.#credit >= LEAST_CREDIT && this.#received === "open" && this.#sent !== "reset";
  }

  #abandonSending(): void {
    this.#mustReset = true;
    this.#outbox.length = 0;
    this.#finish = null;
  }

  #nextData(taken: Done[]): Uint8Array | null {
    const [first] = this.#outbox;
    if (first === undefined || this.#sendWindow < LEAST_COST) return null;
    const length = Math.min(first.bytes.length, MAX_MUX_PAYLOAD_BYTES, this.#sendWindow);
    this.#sendWindow -= cost(length);
    const frame = encodeMuxFrame(MuxFrameType.data, this.id, first.bytes.subarray(0, length));
    first.bytes = first.bytes.subarray(length);
    if (first.bytes.length === 0) {
      this.#outbox.shift();
      taken.push(first.done);
    }
    return frame;
  }
}
