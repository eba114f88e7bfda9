import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

const MAGIC = Buffer.from("AEGISVM2");
const PREFIX_BYTES = 8;
const HEAD_BYTES = MAGIC.length + PREFIX_BYTES;
const TAG_BYTES = 16;
const LENGTH_BYTES = 4;
/** so little that a record's memory is used again and again, which is faster than fresh memory by far */
export const RECORD_BYTES = 64 * 1024;
const LAST = 1;

/**
 * A stream sealed with AES-256-GCM, record by record, so that neither side holds it as a whole: the magic, a random prefix,
 * then `length, ciphertext, tag` for each record. The nonce is the prefix and the record's number; `subject`, the number and
 * whether it is the last are authenticated with it. So nothing can be changed, left out, cut off, or put in another place.
 * What comes in pieces of at most {@link RECORD_BYTES} comes out in the same pieces.
 */
export async function* seal(
  source: AsyncIterable<Uint8Array>,
  key: Uint8Array,
  subject: string,
): AsyncGenerator<Buffer, void> {
  const prefix = randomBytes(PREFIX_BYTES);
  yield Buffer.concat([MAGIC, prefix]);
  let number = 0;
  for await (const record of inRecords(source)) yield sealRecord(record, key, prefix, subject, number++, false);
  yield sealRecord(Buffer.alloc(0), key, prefix, subject, number, true);
}

/** @throws Error when the key or the subject is another one, or anything was changed */
export async function* unseal(
  source: AsyncIterable<Buffer>,
  key: Uint8Array,
  subject: string,
): AsyncGenerator<Buffer, void> {
  const unsealer = new Unsealer(key, subject);
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of source) {
    const bytes = Buffer.concat([rest, chunk]);
    const opened: Buffer[] = [];
    rest = bytes.subarray(unsealer.take(bytes, (plain) => opened.push(plain)));
    yield* opened;
  }
  unsealer.finish();
}

/** Opens what {@link seal} made, of which the caller has any number of bytes at a time. */
export class Unsealer {
  readonly #key: Uint8Array;
  readonly #subject: string;
  #prefix: Buffer | null = null;
  #number = 0;
  #isOver = false;

  constructor(key: Uint8Array, subject: string) {
    this.#key = key;
    this.#subject = subject;
  }

  /**
   * Opens the records that are whole.
   * @param use gets what was in each of them
   * @returns how many bytes were used: the rest is the begin of what has to be given next
   * @throws Error when the key or the subject is another one, or anything was changed
   */
  take(bytes: Buffer, use: (plain: Buffer) => void): number {
    let used = 0;
    if (this.#prefix === null) {
      if (bytes.length < HEAD_BYTES) return 0;
      if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw new Error("it is no snapshot");
      this.#prefix = Buffer.from(bytes.subarray(MAGIC.length, HEAD_BYTES));
      used = HEAD_BYTES;
    }
    while (bytes.length - used >= LENGTH_BYTES) {
      if (this.#isOver) throw new Error("there is more behind its end");
      const length = bytes.readUInt32BE(used);
      if (length > RECORD_BYTES) throw new Error("it is damaged");
      const end = used + LENGTH_BYTES + length + TAG_BYTES;
      if (end > bytes.length) break;
      const plain = this.#open(bytes.subarray(used + LENGTH_BYTES, end), this.#prefix);
      if (plain.length > 0) use(plain);
      used = end;
    }
    return used;
  }

  /** @throws Error when there should be more */
  finish(): void {
    if (!this.#isOver) throw new Error("it was cut off");
  }

  #open(body: Buffer, prefix: Buffer): Buffer {
    const length = body.length - TAG_BYTES;
    const number = this.#number++;
    this.#isOver = length === 0;
    const decipher = createDecipheriv("aes-256-gcm", this.#key, nonce(prefix, number));
    decipher.setAAD(associated(this.#subject, number, this.#isOver));
    decipher.setAuthTag(body.subarray(length));
    const plain = decipher.update(body.subarray(0, length));
    decipher.final();
    return plain;
  }
}

function sealRecord(
  record: Uint8Array,
  key: Uint8Array,
  prefix: Buffer,
  subject: string,
  number: number,
  isLast: boolean,
): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(record.length);
  const cipher = createCipheriv("aes-256-gcm", key, nonce(prefix, number));
  cipher.setAAD(associated(subject, number, isLast));
  return Buffer.concat([length, cipher.update(record), cipher.final(), cipher.getAuthTag()]);
}

function nonce(prefix: Buffer, number: number): Buffer {
  const count = Buffer.alloc(LENGTH_BYTES);
  count.writeUInt32BE(number);
  return Buffer.concat([prefix, count]);
}

const associated = (subject: string, number: number, isLast: boolean): Buffer =>
  Buffer.from(`${number}\0${isLast ? LAST : 0}\0${subject}`);

/** As they come, but for what is too large: nothing is copied. */
async function* inRecords(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of source)
    for (let at = 0; at < chunk.length; at += RECORD_BYTES) yield chunk.subarray(at, at + RECORD_BYTES);
}
