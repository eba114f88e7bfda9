import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { BotApiError } from "../bot-api/answer.ts";
import { readBody } from "../bot-api/read-parameters.ts";
import { nameOf, type SentAnswer, type SentJournal } from "../sent-journal.ts";
import type { MethodCall } from "../upstream.ts";
import { type TelegramClient, TelegramFailure } from "./telegram-client.ts";

/** Texts are smaller; what is larger carries a file and is passed on as it comes. */
const largestBody = 64 * 1024;
const largestAnswer = 256 * 1024;
const patienceMs = 120_000;
/** Of one connection, answers that may be lost with it. */
const mostRecent = 64;

interface Flight {
  answer: Promise<SentAnswer>;
  asker: ServerResponse | null;
}

interface Dependencies {
  client: TelegramClient;
  journal: SentJournal;
  closing: AbortSignal;
  log: (line: string) => void;
}

/**
 * Calls that make a message. When the bot's connection breaks after Telegram has taken one, the bot tries the same again: it
 * then gets the answer that it has missed, and the chat gets no second message.
 */
export class SentMessages {
  readonly #deps: Dependencies;
  readonly #flights = new Map<string, Flight>();
  readonly #recent = new WeakMap<Socket, string[]>();
  readonly #live = new Set<Socket>();
  /** answers of connections that have ended while others go on */
  readonly #ended: string[] = [];

  constructor(deps: Dependencies) {
    this.#deps = deps;
  }

  /** Whether it is one of them, and small enough to be compared. */
  takes({ method, request }: MethodCall): boolean {
    const size = Number(request.headers["content-length"] ?? Number.NaN);
    const type = request.headers["content-type"] ?? "";
    return (
      /^(send(?!ChatAction)|copyMessage|forwardMessage)/i.test(method) &&
      type.startsWith("application/json") &&
      size <= largestBody
    );
  }

  /** @throws BotApiError 502 when Telegram does not answer */
  async call({ method, query, request, response }: MethodCall): Promise<void> {
    const body = await readBody(request, largestBody);
    const name = nameOf(request);
    const key = name ?? hashOf(method, query, body);
    const answer =
      this.#known(method, key, name) ??
      (await this.#flight(key, name === null ? response : null, () => this.#send(method, query, body, key)));
    if (name === null)
      response.once("finish", () => this.#heard(key, response.shouldKeepAlive ? request.socket : null));
    response.writeHead(answer.status, {
      "content-type": answer.type,
      "content-length": Buffer.byteLength(answer.text),
    });
    response.end(answer.text);
  }

  #known(method: string, key: string, name: string | null): SentAnswer | null {
    const { journal } = this.#deps;
    const answer = name === null ? journal.unheard(key) : journal.named(name);
    if (answer !== null) this.#deps.log(`the bot repeats a ${method} whose answer it has missed: not sent again`);
    return answer;
  }

  /**
   * The same call while the first is on its way is a repetition only when nobody waits for the first any more.
   * @param asker null: the call has a name, so the same is the same
   */
  #flight(key: string, asker: ServerResponse | null, send: () => Promise<SentAnswer>): Promise<SentAnswer> {
    const first = this.#flights.get(key);
    if (first !== undefined && (first.asker === null || first.asker.destroyed)) return first.answer;
    const flight = { answer: send(), asker };
    this.#flights.set(key, flight);
    const over = (): void => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    flight.answer.then(over, over);
    return flight.answer;
  }

  /** Goes on when the bot has gone: what Telegram says is kept for its next try. */
  async #send(method: string, query: URLSearchParams, body: Buffer, key: string): Promise<SentAnswer> {
    const { client, journal, closing } = this.#deps;
    const signal = AbortSignal.any([closing, AbortSignal.timeout(patienceMs)]);
    const url = client.methodUrl(method);
    url.search = query.toString();
    const headers = { "content-type": "application/json", "content-length": String(body.length) };
    try {
      const incoming = await client.open(url, { method: "POST", headers, signal }, (out) => out.end(body));
      const answer = await readAnswer(incoming);
      if (answer.status === 200) journal.put(key, answer);
      return answer;
    } catch (error) {
      throw error instanceof TelegramFailure ? new BotApiError(502, `Bad Gateway: ${error.message}`) : error;
    }
  }

  /** @param socket null: its end says nothing, for it was to end with the answer */
  #heard(key: string, socket: Socket | null): void {
    this.#deps.journal.heard(key);
    if (socket === null) return;
    const recent = this.#recent.get(socket) ?? this.#watch(socket);
    recent.push(key);
    if (recent.length > mostRecent) recent.shift();
  }

  /** One connection that ends was not needed any more. When all do, the daemon between the bot and us has died. */
  #watch(socket: Socket): string[] {
    const recent: string[] = [];
    this.#recent.set(socket, recent);
    this.#live.add(socket);
    socket.once("close", () => {
      this.#live.delete(socket);
      this.#ended.push(...recent);
      if (this.#live.size === 0) for (const key of this.#ended) this.#deps.journal.doubt(key);
      if (this.#live.size === 0 || this.#ended.length > mostRecent) this.#ended.length = 0;
    });
    return recent;
  }
}

const hashOf = (method: string, query: URLSearchParams, body: Buffer): string =>
  createHash("sha256").update(`${method.toLowerCase()}\n${query.toString()}\n`).update(body).digest("base64url");

async function readAnswer(incoming: IncomingMessage): Promise<SentAnswer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of incoming) {
      const bytes = Buffer.from(chunk);
      size += bytes.length;
      if (size > largestAnswer) throw new TelegramFailure(0, "Telegram's answer is too large", null);
      chunks.push(bytes);
    }
  } catch (error) {
    throw error instanceof TelegramFailure ? error : new TelegramFailure(0, "Telegram broke off its answer", null);
  }
  const type = incoming.headers["content-type"] ?? "application/json";
  return { status: incoming.statusCode ?? 502, type, text: Buffer.concat(chunks).toString("utf8") };
}
