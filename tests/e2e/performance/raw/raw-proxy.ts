import { connect, createServer, type Server } from "node:net";

/** The least that a proxy in Node can be: accept, dial, pipe both ways. */
export class RawProxy {
  readonly #server: Server;

  /** @param before runs when a connection comes, before the dial */
  constructor(host: string, port: number, before: () => void) {
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
      before();
      const target = connect({ host, port, noDelay: true, allowHalfOpen: true });
      const end = () => {
        client.destroy();
        target.destroy();
      };
      client.on("error", end).pipe(target);
      target.on("error", end).pipe(client);
    });
  }

  /** @returns its port on loopback */
  listen(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(0, "127.0.0.1", () => {
        const address = this.#server.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
  }

  close(): void {
    this.#server.close();
  }
}
