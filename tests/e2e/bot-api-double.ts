import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { readParameters } from "./read-bot-api-parameters.ts";
import { Waiters } from "./waiters.ts";
import { ApiError } from "./bot-api-error.ts";
import { BotApiUpdates } from "./bot-api-updates.ts";

/** One call that reached the double with the right token. */
export interface RecordedCall {
  method: string;
  parameters: Readonly<Record<string, unknown>>;
  /** what was uploaded, by the name of the file */
  files: ReadonlyMap<string, Buffer>;
}

/** A message of the bot as it stands now. */
export interface BotMessage {
  id: number;
  chatId: number;
  /** as it was sent, HTML included */
  text: string;
  edits: number;
  deleted: boolean;
  /** when it was sent, in ms */
  at: number;
}

/** What goes wrong with a call: an error answer of the Bot API, or a connection that breaks. */
export type Fault =
  | { status: number; description?: string; retryAfterS?: number }
  | "drop"
  /** the call is done, and its answer is lost on the way */
  | "lose-answer";

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function textOf(parameters: Json, name: string): string {
  const value = parameters[name];
  return typeof value === "string" ? value : "";
}

/** Starts a Bot API server on a free port of the loopback. */
export async function startBotApiDouble(options: { token: string; port?: number }): Promise<BotApiDouble> {
  const double = new BotApiDouble(options.token);
  await double.listen(options.port ?? 0);
  return double;
}

/** Stands in for api.telegram.org: keeps updates until they are confirmed, records calls, and fails on request. */
export class BotApiDouble {
  readonly calls: RecordedCall[] = [];
  readonly messages: BotMessage[] = [];
  /** requests with a wrong token */
  strangers = 0;
  /** calls that were done, but whose caller was not told */
  readonly lostAnswers: Readonly<Record<string, unknown>>[] = [];
  /** every 409 that was answered */
  readonly conflicts: string[] = [];
  /** what people send, by the path that getFile tells */
  readonly files = new Map<string, Buffer>();
  /** paths of the files that the bot has fetched */
  readonly downloads: string[] = [];
  readonly #token: string;
  readonly #server: Server;
  readonly #updates = new BotApiUpdates(() => this.#waiters.look());
  readonly #faults: { method: string; fault: Fault }[] = [];
  readonly #waiters = new Waiters();
  #nextMessage = 1;
  #port = 0;

  constructor(token: string) {
    this.#token = token;
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch((error: unknown) => this.#fail(response, error));
    });
  }

  /** what `apiRoot` is to be */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", () => {
        const address = this.#server.address();
        this.#port = isObject(address) ? Number(address["port"]) : 0;
        resolve();
      });
    });
  }

  async close(): Promise<void> {
    this.#updates.close();
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** The network is gone: nobody is answered until {@link BotApiDouble.online}. */
  async offline(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  online(): Promise<void> {
    return this.listen(this.#port);
  }

  /** A person writes to the bot. @returns the update's id */
  say(text: string, from = 42): number {
    const person = { id: from, is_bot: false, first_name: "Ada" };
    const entities = text.startsWith("/")
      ? { entities: [{ type: "bot_command", offset: 0, length: text.split(" ")[0]?.length ?? 0 }] }
      : {};
    const chat = { id: from, type: "private", first_name: "Ada" };
    const date = Math.floor(Date.now() / 1000);
    return this.inject({ message: { message_id: this.#nextMessage++, from: person, chat, date, text, ...entities } });
  }

  /** Queues any update; `update_id` is added. @returns the update's id */
  inject(update: Json): number {
    return this.#updates.add(update);
  }

  /** Updates that nobody has taken. */
  get waiting(): number {
    return this.#updates.waiting;
  }

  /** the highest offset that a poll has confirmed */
  get confirmedOffset(): number {
    return this.#updates.confirmedOffset;
  }

  /** Where updates are posted to; empty: nowhere. */
  get webhookUrl(): string {
    return this.#updates.webhook.url;
  }

  /** The next `times` calls of the method go wrong. */
  failNext(method: string, fault: Fault, times = 1): void {
    for (let n = 0; n < times; n++) this.#faults.push({ method: method.toLowerCase(), fault });
  }

  /** Registers a foreign webhook, which makes getUpdates answer 409 until it is deleted. */
  setForeignWebhook(url: string): void {
    this.#updates.setWebhook(url, "");
  }

  /** Resolves with the first message, present or future, edits included, that satisfies the predicate. */
  waitForMessage(predicate: (message: BotMessage) => boolean, timeoutMs = 30_000): Promise<BotMessage> {
    const find = (): BotMessage | undefined => this.messages.find(predicate);
    return this.#waiters.until(
      find,
      timeoutMs,
      () => `messages so far: ${JSON.stringify(this.messages.map(({ text }) => text))}`,
    );
  }

  waitForCall(method: string, timeoutMs = 30_000, count = 1): Promise<RecordedCall> {
    const find = (): RecordedCall | undefined => this.calls.filter((call) => call.method === method)[count - 1];
    return this.#waiters.until(
      find,
      timeoutMs,
      () => `calls so far: ${this.calls.map((call) => call.method).join(", ")}`,
    );
  }

  /** Resolves once it holds; looked at whenever a call comes, an update is taken or the webhook is set. */
  async until(condition: () => boolean, timeoutMs = 30_000): Promise<void> {
    const find = (): true | undefined => (condition() ? true : undefined);
    await this.#waiters.until(
      find,
      timeoutMs,
      () => `calls so far: ${this.calls.map((call) => call.method).join(", ")}`,
    );
  }

  /** Resolves when every update has been confirmed. */
  async waitUntilConfirmed(updateId: number, timeoutMs = 30_000): Promise<void> {
    const find = (): true | undefined => (this.confirmedOffset > updateId ? true : undefined);
    await this.#waiters.until(find, timeoutMs, () => `confirmed up to ${this.confirmedOffset}`);
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", this.url);
    const [, fileToken, path] = /^\/file\/bot([^/]+)\/(.+)$/.exec(url.pathname) ?? [];
    if (fileToken !== undefined && path !== undefined) return this.#download(fileToken, path, response);
    const [, token, method] = /^\/bot([^/]+)\/(\w+)$/.exec(url.pathname) ?? [];
    if (token === undefined || method === undefined) throw new ApiError(404, "Not Found");
    this.#checkToken(token);
    const { parameters, files } = await readParameters(request, url.searchParams);
    this.calls.push({ method, parameters, files });
    this.#waiters.look();
    const planned = this.#faults.findIndex((fault) => fault.method === method.toLowerCase());
    const [fault] = planned < 0 ? [] : this.#faults.splice(planned, 1);
    if (fault?.fault === "drop") return void request.socket.destroy();
    if (fault && fault.fault !== "lose-answer")
      throw new ApiError(fault.fault.status, fault.fault.description ?? "Fault", fault.fault.retryAfterS);
    const result = await this.#answer(method.toLowerCase(), parameters, response);
    if (fault) {
      this.lostAnswers.push(parameters);
      return void request.socket.destroy();
    }
    if (response.destroyed) return;
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ ok: true, result }));
  }

  #checkToken(token: string): void {
    if (decodeURIComponent(token) === this.#token) return;
    this.strangers += 1;
    throw new ApiError(401, "Unauthorized");
  }

  #download(token: string, path: string, response: ServerResponse): void {
    this.#checkToken(token);
    const bytes = this.files.get(decodeURIComponent(path));
    if (bytes === undefined) throw new ApiError(404, "Not Found");
    this.downloads.push(decodeURIComponent(path));
    this.#waiters.look();
    response.writeHead(200, { "content-type": "application/octet-stream", "content-length": bytes.length }).end(bytes);
  }

  #fail(response: ServerResponse, error: unknown): void {
    const known = error instanceof ApiError ? error : new ApiError(500, String(error));
    if (known.status === 409) this.conflicts.push(known.message);
    const body = {
      ok: false,
      error_code: known.status,
      description: known.message,
      ...(known.retryAfterS === undefined ? {} : { parameters: { retry_after: known.retryAfterS } }),
    };
    response.writeHead(known.status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  }

  #answer(method: string, parameters: Json, response: ServerResponse): unknown {
    switch (method) {
      case "getme":
        return { id: 7, is_bot: true, first_name: "Claw", username: "claw_double_bot" };
      case "getupdates":
        return this.#updates.poll(parameters, response);
      case "setwebhook":
        this.#updates.setWebhook(textOf(parameters, "url"), textOf(parameters, "secret_token"));
        return true;
      case "deletewebhook":
        this.#updates.setWebhook("", "");
        return true;
      case "getwebhookinfo":
        return { ...this.#updates.webhook, pending_update_count: this.#updates.waiting };
      case "getfile":
        return this.#file(textOf(parameters, "file_id"));
      case "sendmessage":
      case "senddocument":
      case "sendphoto":
      case "sendvoice":
        return this.#send(parameters);
      case "editmessagetext":
        return this.#edit(parameters);
      case "deletemessage":
        this.#find(parameters).deleted = true;
        return true;
      default:
        return true;
    }
  }

  #file(id: string): Json {
    const bytes = this.files.get(id);
    if (bytes === undefined) throw new ApiError(400, "Bad Request: invalid file_id");
    return { file_id: id, file_unique_id: id, file_size: bytes.length, file_path: id };
  }

  #send(parameters: Json): unknown {
    const text = textOf(parameters, "text") || textOf(parameters, "caption");
    const message = {
      id: this.#nextMessage++,
      chatId: Number(parameters["chat_id"]),
      text,
      edits: 0,
      deleted: false,
      at: Date.now(),
    };
    this.messages.push(message);
    this.#waiters.look();
    return describe(message);
  }

  #edit(parameters: Json): unknown {
    const message = this.#find(parameters);
    message.text = textOf(parameters, "text");
    message.edits += 1;
    this.#waiters.look();
    return describe(message);
  }

  #find(parameters: Json): BotMessage {
    const found = this.messages.find(({ id, deleted }) => id === Number(parameters["message_id"]) && !deleted);
    if (!found) throw new ApiError(400, "Bad Request: message not found");
    return found;
  }
}

const describe = ({ id, chatId, text }: BotMessage): Json => ({
  message_id: id,
  date: Math.floor(Date.now() / 1000),
  chat: { id: chatId, type: "private" },
  text,
});
