import { parseIpv4 } from "@aegis/protocol/ipv4";
import { normaliseName } from "@aegis/protocol/network";
import { decode, type Packet } from "dns-packet";

const HEADER_BYTES = 12;
const CLASSIC_UDP_BYTES = 512;
const MAX_UDP_BYTES = 4096;
const QR = 0x80;
const TC = 0x02;
const RA = 0x80;
/** the name of the first question, as a pointer to it */
const QUESTION_NAME = 0xc00c;
const TYPE_A = 1;
const CLASS_IN = 1;

export const RCODES = { NOERROR: 0, SERVFAIL: 2, NXDOMAIN: 3 } as const;

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

export interface DnsQuestion {
  /** as `normaliseName` gives it; null for what no public host can be called */
  name: string | null;
  /** for people */
  text: string;
  type: number;
  class: number;
}

/** @param question the question section of one that `parseQuery` took */
export function readQuestion(question: Buffer): DnsQuestion {
  const labels: string[] = [];
  let offset = 0;
  for (let length = question[offset] ?? 0; length !== 0; length = question[offset] ?? 0) {
    labels.push(question.toString("latin1", offset + 1, offset + 1 + length));
    offset += length + 1;
  }
  // A dot within a label would read like the end of one.
  const plain = labels.length > 0 && !labels.some((label) => label.includes("."));
  return {
    name: plain ? normaliseName(labels.join(".")) : null,
    text: labels.map(printable).join(".") || ".",
    type: question.readUInt16BE(offset + 1),
    class: question.readUInt16BE(offset + 3),
  };
}

const printable = (label: string): string =>
  label.replace(/[^!-~]|[.\\]/g, (char) => `\\${String(char.charCodeAt(0)).padStart(3, "0")}`);

/** An answer of our own: a code, and IPv4 addresses for the name that was asked for. */
export function localAnswer(
  query: DnsQuery,
  rcode: keyof typeof RCODES,
  addresses: readonly string[] = [],
  ttl = 0,
): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(query.id, 0);
  header[2] = QR | ((query.bytes[2] ?? 0) & 1);
  header[3] = RA | RCODES[rcode];
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(addresses.length, 6);
  return Buffer.concat([header, query.question, ...addresses.map((address) => addressRecord(address, ttl))]);
}

function addressRecord(address: string, ttl: number): Buffer {
  const record = Buffer.alloc(16);
  for (const [at, value] of [QUESTION_NAME, TYPE_A, CLASS_IN].entries()) record.writeUInt16BE(value, at * 2);
  record.writeUInt32BE(ttl, 6);
  record.writeUInt16BE(4, 10);
  record.writeUInt32BE(parseIpv4(address) ?? 0, 12);
  return record;
}

/** True for an answer that did not fit: the whole of it comes over TCP. */
export const isCut = (answer: Buffer): boolean => ((answer[2] ?? 0) & TC) !== 0;

/** Cut to what the client takes over UDP: only the question is left, and the mark that tells it to ask over TCP. */
export function fitUdp(answer: Buffer, query: DnsQuery): Buffer {
  if (answer.length <= query.udpBytes) return answer;
  const header = Buffer.from(answer.subarray(0, HEADER_BYTES));
  header[2] = (header[2] ?? 0) | TC;
  header.fill(0, 6);
  return Buffer.concat([header, query.question]);
}
