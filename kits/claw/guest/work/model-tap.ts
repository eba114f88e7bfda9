import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import type { Tell } from "./job.ts";
import type { ModelRefusal } from "./model-failure.ts";
import { modelSteps } from "./model-steps.ts";

const KEPT_BODY = 4000;

/**
 * Stands between the agent and its model to see what the agent does: a headless OpenClaw says nothing until it is
 * done, and loads no plugin's hooks. Bytes pass unchanged.
 */
export class ModelTap {
  readonly #server: Server;
  readonly #upstream: URL;
  readonly #tell: Tell;
  #refusal: ModelRefusal | null = null;

  private constructor(upstream: URL, tell: Tell) {
    this.#upstream = upstream;
    this.#tell = tell;
    this.#server = createServer((incoming, response) => {
      this.#forward(incoming, response).catch((error: unknown) => {
        response.destroy(error instanceof Error ? error : new Error(String(error)));
      });
    });
  }

  /** @param baseUrl of the model, plain http: a binding of this instance */
  static async open(baseUrl: string, tell: Tell): Promise<ModelTap> {
    const tap = new ModelTap(new URL(baseUrl), tell);
    tap.#server.listen(0, "127.0.0.1");
    await once(tap.#server, "listening");
    return tap;
  }

  /** What the agent takes for its model's base URL. */
  get baseUrl(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the tap is closed");
    return `http://127.0.0.1:${address.port}${this.#upstream.pathname.replace(/\/$/, "")}`;
  }

  /** Of the last request that was answered, or could not be; null when the model did answer. */
  get refusal(): ModelRefusal | null {
    return this.#refusal;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #forward(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await collect(incoming);
    this.#tellSteps(body);
    const outgoing = request({
      host: this.#upstream.hostname,
      port: this.#upstream.port,
      method: incoming.method,
      path: incoming.url,
      headers: { ...incoming.headers, host: this.#upstream.host, "content-length": body.length },
    });
    response.once("close", () => outgoing.destroy());
    const answered = once(outgoing, "response");
    outgoing.end(body);
    const [answer] = (await answered.catch((error: unknown) => {
      // an agent that goes away has not been refused
      if (!response.destroyed) this.#refusal = { status: 0, body: "" };
      throw error;
    })) as [IncomingMessage];
    const status = answer.statusCode ?? 502;
    this.#refusal = null;
    if (status >= 400) this.#refused(status, answer);
    response.writeHead(status, answer.headers);
    await pipeline(answer, response);
  }

  #refused(status: number, answer: IncomingMessage): void {
    const refusal = { status, body: "" };
    this.#refusal = refusal;
    this.#tell(`the model's provider answered ${status}`);
    answer.on("data", (chunk: Buffer) => {
      if (refusal.body.length < KEPT_BODY) refusal.body += chunk.toString().slice(0, KEPT_BODY - refusal.body.length);
    });
  }

  #tellSteps(body: Buffer): void {
    try {
      for (const step of modelSteps(JSON.parse(body.toString()))) this.#tell(step);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
}

async function collect(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
