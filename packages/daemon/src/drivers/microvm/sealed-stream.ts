import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

const MAGIC = Buffer.from("AEGISVM1");
const PREFIX_BYTES = 8;
const TAG_BYTES = 16;
const LENGTH_BYTES = 4;
const RECORD_BYTES = 1024 * 1024;
const LAST = 1;

/**
 * A stream sealed with AES-256-GCM, record by record, so that neither side holds it as a whole: the magic, a random prefix,
 * then `length, ciphertext, tag` for each record. The nonce is the prefix and the record's number; `subject`, the number and
 * whether it is the last are authenticated with it. So nothing can be changed, left out, cut off, or put in another place.
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
  source: AsyncIterable<Uint8Array>,
  key: Uint8Array,
  subject: string,
): AsyncGenerator<Buffer, void> {
  const reader = new ByteReader(source);
  const head = await reader.take(MAGIC.length + PREFIX_BYTES);
  if (!head.subarray(0, MAGIC.length).equals(MAGIC)) throw new Error("it is no snapshot");
  const prefix = head.subarray(MAGIC.length);
  for (let number = 0; ; number++) {
    const length = (await reader.take(LENGTH_BYTES)).readUInt32BE();
    if (length > RECORD_BYTES) throw new Error("it is damaged");
    const body = await reader.take(length + TAG_BYTES);
    const isLast = length === 0;
    const decipher = createDecipheriv("aes-256-gcm", key, nonce(prefix, number));
    decipher.setAAD(associated(subject, number, isLast));
    decipher.setAuthTag(body.subarray(length));
    const plain = decipher.update(body.subarray(0, length));
    decipher.final();
    if (isLast) return;
    yield plain;
  }
}

function sealRecord(
  record: Buffer,
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

async function* inRecords(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void> {
  let chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of source) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes < RECORD_BYTES) continue;
    const all = Buffer.concat(chunks);
    let at = 0;
    for (; all.length - at >= RECORD_BYTES; at += RECORD_BYTES) yield all.subarray(at, at + RECORD_BYTES);
    chunks = [all.subarray(at)];
    bytes = all.length - at;
  }
  if (bytes > 0) yield Buffer.concat(chunks);
}

/** Takes exact numbers of bytes off chunks of any size. */
class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async take(bytes: number): Promise<Buffer> {
    const chunks = [this.#rest];
    let have = this.#rest.length;
    while (have < bytes) {
      const next = await this.#source.next();
      if (next.done === true) throw new Error("it was cut off");
      chunks.push(Buffer.from(next.value));
      have += next.value.length;
    }
    const all = Buffer.concat(chunks);
    this.#rest = all.subarray(bytes);
    return all.subarray(0, bytes);
  }
}
