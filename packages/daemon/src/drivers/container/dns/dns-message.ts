import { decode, encode, type Packet } from "dns-packet";

const HEADER_BYTES = 12;
const CLASSIC_UDP_BYTES = 512;
const MAX_UDP_BYTES = 4096;
const QR = 0x80;
const TC = 0x02;
const SERVFAIL = 2;

/** A question that came from an instance, checked as far as forwarding needs it. */
export interface DnsQuery {
  /** as it came, with the client's id */
  bytes: Buffer;
  id: number;
  /** the question section, byte for byte */
  question: Buffer;
  /** longest answer that the client takes over UDP */
  udpBytes: number;
}

/** @returns null for anything that is not one plain question */
export function parseQuery(bytes: Buffer): DnsQuery | null {
  if (bytes.length < HEADER_BYTES || ((bytes[2] ?? 0) & QR) !== 0 || bytes.readUInt16BE(4) !== 1) return null;
  const question = questionOf(bytes);
  const packet = decodeQuietly(bytes);
  if (question === null || packet === null) return null;
  const opt = packet.additionals?.find((record) => record.type === "OPT");
  const offered = opt?.type === "OPT" ? opt.udpPayloadSize : CLASSIC_UDP_BYTES;
  const udpBytes = Math.min(MAX_UDP_BYTES, Math.max(CLASSIC_UDP_BYTES, offered));
  return { bytes, id: bytes.readUInt16BE(0), question, udpBytes };
}

function decodeQuietly(bytes: Buffer): Packet | null {
  try {
    return decode(bytes);
  } catch {
    // What does not decode is not a question; the client waits in vain.
    return null;
  }
}

/** The first question of a message; null when it is cut short or compressed, which a first name cannot be. */
function questionOf(bytes: Buffer): Buffer | null {
  let offset = HEADER_BYTES;
  for (let length = bytes[offset]; length !== 0; length = bytes[offset]) {
    if (length === undefined || length > 63) return null;
    offset += length + 1;
  }
  const end = offset + 5;
  return end > bytes.length ? null : bytes.subarray(HEADER_BYTES, end);
}

export function withId(bytes: Buffer, id: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** True for an answer with that id to that very question. */
export function isAnswerTo(bytes: Buffer, id: number, query: DnsQuery): boolean {
  if (bytes.length < HEADER_BYTES || ((bytes[2] ?? 0) & QR) === 0 || bytes.readUInt16BE(0) !== id) return false;
  if (bytes.readUInt16BE(4) !== 1) return false;
  const question = questionOf(bytes);
  return (
    question !== null && question.toString("latin1").toLowerCase() === query.question.toString("latin1").toLowerCase()
  );
}

export function serverFailure(query: DnsQuery): Buffer {
  const recursionDesired = (query.bytes[2] ?? 0) & 1;
  const header = encode({ type: "response", id: query.id, flags: 0x80 | (recursionDesired << 8) | SERVFAIL });
  header.writeUInt16BE(1, 4);
  return Buffer.concat([header, query.question]);
}

/** Cut to what the client takes over UDP: only the question is left, and the mark that tells it to ask over TCP. */
export function fitUdp(answer: Buffer, query: DnsQuery): Buffer {
  if (answer.length <= query.udpBytes) return answer;
  const header = Buffer.from(answer.subarray(0, HEADER_BYTES));
  header[2] = (header[2] ?? 0) | TC;
  header.fill(0, 6);
  return Buffer.concat([header, query.question]);
}
