import { request } from "node:http";

interface Answer {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  body: string;
}

/** What a browser does with the chat page, header by header. */
export class ChatClient {
  readonly port: number;
  readonly base: string;
  readonly key: string;
  cookie = "";

  constructor(chatUrl: string | null) {
    const url = new URL(chatUrl ?? "http://none");
    this.port = Number(url.port);
    this.base = url.pathname;
    this.key = url.hash.slice(1);
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** @param path below the page's base, or absolute with a leading slash */
  send(
    method: string,
    path: string,
    options: { body?: string | Buffer; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const write = method === "GET" ? {} : { origin: this.origin, "content-type": "application/json" };
    const headers = { ...write, ...(this.cookie ? { cookie: this.cookie } : {}), ...options.headers };
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          host: "127.0.0.1",
          port: this.port,
          path: path.startsWith("/") ? path : this.base + path,
          method,
          headers,
          agent: false,
        },
        (response) => {
          response.toArray().then(
            (chunks) =>
              resolve({
                status: response.statusCode ?? 0,
                headers: response.headers,
                body: Buffer.concat(chunks).toString(),
              }),
            reject,
          );
        },
      );
      outgoing.on("error", reject);
      outgoing.end(options.body);
    });
  }

  async signIn(): Promise<void> {
    const answer = await this.send("POST", "api/session", { body: JSON.stringify({ key: this.key }) });
    this.cookie = String(answer.headers["set-cookie"]?.[0]).split(";")[0] ?? "";
  }

  async write(text: string): Promise<Answer> {
    return this.send("POST", "api/messages", { body: JSON.stringify({ text }) });
  }

  async snapshot(): Promise<Snapshot> {
    return JSON.parse((await this.send("GET", "api/messages")).body);
  }

  /** Follows the events; the list grows. @returns ends it */
  follow(events: { type: string; [key: string]: unknown }[], onEvent: () => void): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          host: "127.0.0.1",
          port: this.port,
          path: `${this.base}api/events`,
          headers: { cookie: this.cookie },
          agent: false,
        },
        (response) => {
          let rest = "";
          response.on("error", () => undefined);
          response.on("data", (chunk: Buffer) => {
            const parts = (rest + chunk.toString()).split("\n\n");
            rest = parts.pop() ?? "";
            for (const part of parts) if (part.startsWith("data: ")) events.push(JSON.parse(part.slice(6)));
            onEvent();
          });
          resolve(() => outgoing.destroy());
        },
      );
      outgoing.on("error", reject);
      outgoing.end();
    });
  }
}

export interface Snapshot {
  bot: { name: string; label: string | null };
  state: string;
  messages: {
    id: number;
    author: string;
    content: unknown[];
    buttons: { text: string; data: string | null; url: string | null }[][];
    file: { id: string; kind: string; name: string; type: string; size: number } | null;
    editedAt: number | null;
    reaction: string | null;
    replyTo: number | null;
  }[];
}
