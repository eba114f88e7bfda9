import type { IncomingMessage } from "node:http";
import { asObject, parseJson } from "../json-value.ts";
import { BotApiError } from "./answer.ts";

/** Bodies are held in memory, and the bot is not trusted with the host's. */
const largestBody = 20 * 1024 * 1024;

export interface Upload {
  name: string;
  type: string;
  bytes: Buffer;
}

/** The parameters of one method call. Forms carry objects as JSON text; here both look alike. */
export class Parameters {
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #uploads: ReadonlyMap<string, Upload>;

  constructor(values: ReadonlyMap<string, unknown>, uploads: ReadonlyMap<string, Upload> = new Map()) {
    this.#values = values;
    this.#uploads = uploads;
  }

  text(name: string): string | null {
    const value = this.#values.get(name);
    return typeof value === "string" ? value : typeof value === "number" ? String(value) : null;
  }

  number(name: string): number | null {
    const value = this.#values.get(name);
    const number = typeof value === "string" && value !== "" ? Number(value) : value;
    return typeof number === "number" && Number.isFinite(number) ? number : null;
  }

  /** An object, an array or a boolean. */
  value(name: string): unknown {
    const value = this.#values.get(name);
    return typeof value === "string" ? parseJson(value) : value;
  }

  /** A file that came with the call, directly or as `attach://name`. */
  upload(name: string): Upload | null {
    const direct = this.#uploads.get(name);
    if (direct) return direct;
    const reference = this.text(name);
    return reference?.startsWith("attach://") ? (this.#uploads.get(reference.slice(9)) ?? null) : null;
  }
}

/** @throws BotApiError 413 */
export async function readBody(request: IncomingMessage, limit = largestBody): Promise<Buffer<ArrayBuffer>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > limit) throw new BotApiError(413, "Request Entity Too Large");
    chunks.push(bytes);
  }
  return Buffer.concat(chunks, size);
}

async function fromForm(type: string, body: Buffer<ArrayBuffer>): Promise<Parameters> {
  const form = await new Response(body, { headers: { "content-type": type } }).formData().catch(() => null);
  if (!form) throw new BotApiError(400, "Bad Request: the form could not be read");
  const values = new Map<string, unknown>();
  const uploads = new Map<string, Upload>();
  for (const [name, value] of form) {
    if (typeof value === "string") values.set(name, value);
    else uploads.set(name, { name: value.name, type: value.type, bytes: Buffer.from(await value.arrayBuffer()) });
  }
  return new Parameters(values, uploads);
}

/** Reads the query, JSON, form or multipart parameters of a call. @throws BotApiError 400, 413 */
export async function readParameters(request: IncomingMessage, query: URLSearchParams): Promise<Parameters> {
  const type = request.headers["content-type"] ?? "";
  const body = await readBody(request);
  if (body.length === 0) return new Parameters(new Map(query));
  if (type.startsWith("multipart/form-data") || type.startsWith("application/x-www-form-urlencoded")) {
    return fromForm(type, body);
  }
  const values = asObject(parseJson(body.toString("utf8")));
  if (!values) throw new BotApiError(400, "Bad Request: can't parse JSON object");
  return new Parameters(new Map([...query, ...Object.entries(values)]));
}
