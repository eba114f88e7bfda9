import { createServer, type Server } from "node:http";

interface Delivered {
  update_id: number;
  [key: string]: unknown;
}

/** How the bot answers a delivery. */
export type BotAnswer = "durable" | "plain" | number | "drop";

/** The bot's webhook as OpenClaw opens it. */
export class BotDouble {
  readonly accepted: Delivered[] = [];
  readonly attempts: Delivered[] = [];
  /** highest number of deliveries that were open at once, by chat */
  readonly widest = new Map<number, number>();
  secretSeen: string | undefined;
  connectionSeen: string | undefined;
  /** decides on each delivery */
  answer: (update: Delivered, attempt: number) => BotAnswer | Promise<BotAnswer> = () => "durable";
  readonly #open = new Map<number, number>();
  #server: Server | null = null;
  #waiters: (() => void)[] = [];
  port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.port}/telegram-webhook`;
  }

  /** The port stays the same over a stop and a start, as the public port of an instance does. */
  start(): Promise<void> {
    const server = createServer((request, response) => {
      void (async () => {
        const update: Delivered = JSON.parse(Buffer.concat(await request.toArray()).toString());
        this.secretSeen = String(request.headers["x-telegram-bot-api-secret-token"]);
        this.connectionSeen = request.headers.connection;
        this.attempts.push(update);
        const chat = chatOf(update);
        this.#count(chat, 1);
        const answer = await this.answer(update, this.attempts.filter((u) => u.update_id === update.update_id).length);
        this.#count(chat, -1);
        if (answer === "drop") return request.socket.destroy();
        if (answer === "durable") {
          this.accepted.push(update);
          response.setHeader("x-openclaw-delivery-accepted", "durable");
        }
        response.writeHead(typeof answer === "number" ? answer : 200).end();
        for (const waiter of this.#waiters) waiter();
      })();
    });
    this.#server = server;
    return new Promise((resolve) => {
      server.listen(this.port, "127.0.0.1", () => {
        const address = server.address();
        if (address !== null && typeof address !== "string") this.port = address.port;
        resolve();
      });
    });
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (!server) return;
    this.#server = null;
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  /** Resolves once the condition holds; checked after every delivery. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!condition()) return;
        this.#waiters = this.#waiters.filter((waiter) => waiter !== check);
        resolve();
      };
      this.#waiters.push(check);
      check();
    });
  }

  #count(chat: number, change: number): void {
    const open = (this.#open.get(chat) ?? 0) + change;
    this.#open.set(chat, open);
    this.widest.set(chat, Math.max(open, this.widest.get(chat) ?? 0));
  }
}

function chatOf(update: Record<string, unknown>): number {
  const message = update["message"];
  if (typeof message !== "object" || message === null || !("chat" in message)) return 0;
  const { chat } = message;
  return typeof chat === "object" && chat !== null && "id" in chat ? Number(chat.id) : 0;
}

export function textOf(update: Record<string, unknown>): string {
  const message = update["message"];
  return typeof message === "object" && message !== null && "text" in message ? String(message.text) : "";
}
