import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { asObject, parseJson } from "../json-value.ts";

/** Why a call to Telegram gave no result. */
export class TelegramFailure extends Error {
  override readonly name = "TelegramFailure";
  /** HTTP status, or 0 when there was no answer */
  readonly status: number;
  readonly retryAfterS: number | null;

  constructor(status: number, message: string, retryAfterS: number | null) {
    super(message);
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

/** A hundred updates are a few hundred KB; what is longer is not read into memory. */
const largestAnswer = 32 * 1024 * 1024;

export interface TelegramRequest {
  method: "GET" | "POST";
  headers: Record<string, string>;
  signal: AbortSignal;
}

/** Knows the real token, and is the only one who does. No error and no log line of it tells the address it called. */
export class TelegramClient {
  readonly #root: URL;
  readonly #token: string;

  constructor(apiRoot: string, token: string) {
    this.#root = new URL(apiRoot.endsWith("/") ? apiRoot : `${apiRoot}/`);
    this.#token = token;
  }

  /** Takes the token out of a text that came from elsewhere. */
  redact(text: string): string {
    return text.replaceAll(this.#token, "<token>").replaceAll(encodeURIComponent(this.#token), "<token>");
  }

  methodUrl(method: string): URL {
    return new URL(`${this.#root.href}bot${this.#token}/${method}`);
  }

  fileUrl(path: string): URL {
    return new URL(`${this.#root.href}file/bot${this.#token}/${path.split("/").map(encodeURIComponent).join("/")}`);
  }

  /**
   * Opens a request; the caller ends it. Settles with the head of the answer.
   * @throws TelegramFailure with status 0 when nobody answers
   */
  open(
    url: URL,
    { method, headers, signal }: TelegramRequest,
    write: (outgoing: ClientRequest) => void,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const outgoing = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, { method, headers, signal });
      outgoing.on("response", resolve);
      outgoing.on("error", (error) => {
        const why = "code" in error && typeof error.code === "string" ? error.code : this.redact(error.message);
        reject(new TelegramFailure(0, `Telegram could not be reached (${why})`, null));
      });
      write(outgoing);
    });
  }

  /** Calls a method with JSON parameters and returns its result. @throws TelegramFailure */
  async call(method: string, parameters: object, signal: AbortSignal): Promise<unknown> {
    const body = JSON.stringify(parameters);
    const headers = { "content-type": "application/json", "content-length": String(Buffer.byteLength(body)) };
    const response = await this.open(this.methodUrl(method), { method: "POST", headers, signal }, (outgoing) => {
      outgoing.end(body);
    });
    const answer = asObject(parseJson(await this.#text(response)));
    if (answer?.["ok"] === true) return answer["result"];
    throw this.#failure(method, response.statusCode ?? 0, answer);
  }

  async #text(response: IncomingMessage): Promise<string> {
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      for await (const chunk of response) {
        const bytes = Buffer.from(chunk);
        size += bytes.length;
        if (size > largestAnswer) break;
        chunks.push(bytes);
      }
    } catch {
      throw new TelegramFailure(0, "Telegram broke off its answer", null);
    }
    if (size > largestAnswer) throw new TelegramFailure(0, "Telegram's answer is too large to be read", null);
    return Buffer.concat(chunks).toString("utf8");
  }

  #failure(method: string, status: number, answer: ReturnType<typeof asObject>): TelegramFailure {
    const seconds = asObject(answer?.["parameters"])?.["retry_after"];
    const description = answer?.["description"];
    const why = typeof description === "string" ? this.redact(description) : "no readable answer";
    return new TelegramFailure(status, `${method}: ${status} ${why}`, typeof seconds === "number" ? seconds : null);
  }
}
