const LENGTH_BYTES = 2;

/** DNS over TCP: each message comes behind its length in two bytes. */
export function frameDnsMessage(message: Buffer): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

/** Collects chunks as they arrive and hands out whole messages. Keeps at most one message of 64 KB. */
export class DnsMessageReader {
  #pending: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Buffer[] {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    const messages: Buffer[] = [];
    for (let message = this.#next(); message !== null; message = this.#next()) messages.push(message);
    return messages;
  }

  #next(): Buffer | null {
    if (this.#pending.length < LENGTH_BYTES) return null;
    const end = LENGTH_BYTES + this.#pending.readUInt16BE(0);
    if (this.#pending.length < end) return null;
    const message = this.#pending.subarray(LENGTH_BYTES, end);
    this.#pending = this.#pending.subarray(end);
    return message;
  }
}
