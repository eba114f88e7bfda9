import { once } from "node:events";
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { type DemoModel, startDemoModel } from "../../kits/claw/src/model/start-demo-model.ts";

/** The demo model behind a key, as a provider is. */
export class KeyedModel {
  /** calls that came with the right key, and those that did not */
  served = 0;
  refused = 0;
  /** answers 401 whatever the key, as after it was revoked */
  revoked = false;
  /** the one that is taken */
  key: string;
  readonly #model: DemoModel;
  readonly #server: Server;

  private constructor(key: string, model: DemoModel) {
    this.key = key;
    this.#model = model;
    this.#server = createServer((request, response) => this.#handle(request, response));
  }

  static async start(key: string): Promise<KeyedModel> {
    const keyed = new KeyedModel(key, await startDemoModel({ host: "127.0.0.1", port: 0, log: () => undefined }));
    keyed.#server.listen(0, "127.0.0.1");
    await once(keyed.#server, "listening");
    return keyed;
  }

  /** what the base URL of the provider is to be */
  get url(): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/v1`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await this.#model.close();
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    if (this.revoked || request.headers.authorization !== `Bearer ${this.key}`) {
      if (request.method === "POST") this.refused += 1;
      request.resume();
      const error = { message: "Incorrect API key provided", type: "invalid_request_error", code: "invalid_api_key" };
      response.writeHead(401, { "content-type": "application/json" }).end(JSON.stringify({ error }));
      return;
    }
    this.served += 1;
    const { authorization: _, host: __, ...headers } = request.headers;
    const target = new URL(this.#model.url);
    const sent = httpRequest(
      { host: target.hostname, port: target.port, path: request.url, method: request.method, headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    sent.on("error", () => response.destroy());
    request.pipe(sent);
  }
}
