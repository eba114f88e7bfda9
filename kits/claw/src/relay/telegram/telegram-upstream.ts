import type { IncomingMessage, ServerResponse } from "node:http";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { AegisError } from "@aegis/protocol/errors";
import { BotApiError } from "../bot-api/answer.ts";
import type { SentJournal } from "../sent-journal.ts";
import type { FileCall, MethodCall, UpdateSource, Upstream } from "../upstream.ts";
import { SentMessages } from "./sent-messages.ts";
import { type TelegramClient, TelegramFailure } from "./telegram-client.ts";

const patienceMs = 120_000;
/** What Telegram itself takes and gives is smaller; a local Bot API server would take 2 GB. */
const largestFile = 100 * 1024 * 1024;
const passedOn = ["content-type", "content-length"] as const;

function pickHeaders(from: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of passedOn) {
    const value = from.headers[name];
    if (value !== undefined) headers[name] = value;
  }
  return headers;
}

/** The way by which updates come. */
export interface Intake {
  readonly updates: UpdateSource | null;
  close(): Promise<void>;
}

interface Dependencies {
  client: TelegramClient;
  intake: Intake;
  journal: SentJournal;
  log: (line: string) => void;
}

/** Passes the bot's calls on under the real token, without holding bodies in memory. */
export class TelegramUpstream implements Upstream {
  readonly chatUrl = null;
  readonly updates: UpdateSource | null;
  readonly #client: TelegramClient;
  readonly #intake: Intake;
  readonly #sent: SentMessages;
  readonly #closing = new AbortController();

  constructor({ client, intake, journal, log }: Dependencies) {
    this.updates = intake.updates;
    this.#client = client;
    this.#intake = intake;
    this.#sent = new SentMessages({ client, journal, log, closing: this.#closing.signal });
  }

  async call(call: MethodCall): Promise<void> {
    const { method, query, request, response } = call;
    if (this.#sent.takes(call)) return this.#sent.call(call);
    const url = this.#client.methodUrl(method);
    url.search = query.toString();
    await this.#forward(url, request, response);
  }

  async download({ path, response }: FileCall): Promise<void> {
    if (path.split("/").some((part) => part === "" || part === "." || part === "..")) {
      throw new BotApiError(404, "Not Found");
    }
    await this.#forward(this.#client.fileUrl(path), null, response);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#intake.close();
  }

  async #forward(url: URL, request: IncomingMessage | null, response: ServerResponse): Promise<void> {
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(patienceMs)]);
    const method = request?.method === "POST" ? "POST" : "GET";
    const headers = request ? pickHeaders(request) : {};
    if (Number(headers["content-length"] ?? 0) > largestFile) throw tooLarge();
    if (request && method === "POST" && headers["content-length"] === undefined) {
      headers["transfer-encoding"] = "chunked";
    }
    let excess = false;
    const answer = await this.#client
      .open(url, { method, headers, signal }, (outgoing) => {
        if (!request) return outgoing.end();
        request.once("close", () => {
          if (!request.complete) outgoing.destroy();
        });
        const whole = bounded(() => (excess = true));
        pipeline(request, whole, outgoing).catch((error: unknown) => outgoing.destroy(asError(error)));
      })
      .catch((error: unknown) => {
        if (!(error instanceof TelegramFailure)) throw error;
        throw excess ? tooLarge() : new BotApiError(502, `Bad Gateway: ${error.message}`);
      });
    response.writeHead(answer.statusCode ?? 502, pickHeaders(answer));
    // a broken pipe either way destroys both ends, which is all that can be told once the head is out
    await pipeline(answer, bounded(), response).catch(() => response.destroy());
  }
}

const tooLarge = (): BotApiError => new BotApiError(413, "Request Entity Too Large");
const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

/** Passes bytes on, but no more than a file may have. */
function bounded(onExcess: () => void = () => undefined): Transform {
  let size = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (size <= largestFile) return done(null, chunk);
      onExcess();
      done(tooLarge());
    },
  });
}

/**
 * Asks Telegram whether the token works. A network that is down is no reason to refuse a start.
 * @throws AegisError `unauthorized`
 */
export async function checkToken(client: TelegramClient, log: (line: string) => void): Promise<void> {
  try {
    await client.call("getMe", {}, AbortSignal.timeout(15_000));
  } catch (cause) {
    if (cause instanceof TelegramFailure && (cause.status === 401 || cause.status === 404)) {
      throw new AegisError(
        "unauthorized",
        "Telegram does not know this bot token, so the relay cannot start. Check TELEGRAM_BOT_TOKEN; @BotFather shows the right one.",
      );
    }
    log(`Telegram could not be asked yet: ${cause instanceof Error ? client.redact(cause.message) : "?"}`);
  }
}
