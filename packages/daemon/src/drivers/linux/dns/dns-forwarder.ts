import { createSocket, type RemoteInfo, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { DnsMessageReader, frameDnsMessage } from "./dns-message-reader.ts";
import { fitUdp, localAnswer, parseQuery, type DnsQuery } from "./dns-message.ts";
import { askOverTcp, askOverUdp, type AskUpstream, type ResolverAddress } from "./dns-upstream.ts";
import { ListedNames, type RestrictedClient } from "./listed-names.ts";

export interface DnsForwarderOptions {
  /** the gateway's address */
  address: string;
  /** who asks: an instance that has the whole internet, one that has not, or nobody whom we answer */
  client(address: string): "open" | RestrictedClient | null;
  resolvers(): Promise<ResolverAddress[]>;
  port?: number;
}

const MAX_PER_CLIENT = 64;
const MAX_CONNECTIONS_PER_CLIENT = 16;
const MAX_CONNECTIONS = 256;
const TCP_IDLE_MS = 10_000;
/** more than this and a client reads no answers */
const MAX_UNREAD_BYTES = 256 * 1024;

/** Answers the instances' DNS questions with what the host's own resolvers say, which instances cannot reach. */
export class DnsForwarder {
  readonly #options: DnsForwarderOptions;
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  readonly #listed: ListedNames;
  readonly #connections = new Set<Socket>();
  /** questions under way and open connections, by client */
  readonly #asking = new Map<string, number>();
  readonly #connected = new Map<string, number>();

  constructor(options: DnsForwarderOptions) {
    this.#options = options;
    this.#listed = new ListedNames(() => options.resolvers());
    this.#udp = createSocket("udp4");
    this.#udp.on("message", (bytes, from) => void this.#onDatagram(bytes, from));
    this.#tcp = createServer((socket) => this.#onConnection(socket));
    this.#tcp.maxConnections = MAX_CONNECTIONS;
  }

  async start(): Promise<void> {
    const { address, port = 53 } = this.#options;
    this.#udp.bind(port, address);
    await once(this.#udp, "listening");
    this.#tcp.listen(port, address);
    await once(this.#tcp, "listening").catch((error: unknown) => {
      this.#udp.close();
      throw error;
    });
    // From here on a failure of one client's socket must not end the daemon.
    this.#udp.on("error", () => undefined);
    this.#tcp.on("error", () => undefined);
  }

  async close(): Promise<void> {
    this.#udp.close();
    this.#tcp.close();
    for (const socket of this.#connections) socket.destroy();
    await once(this.#tcp, "close");
  }

  async #onDatagram(bytes: Buffer, from: RemoteInfo): Promise<void> {
    if (this.#options.client(from.address) === null) return;
    const query = parseQuery(bytes);
    const answer = query === null ? null : await this.#answer(query, from.address, askOverUdp);
    // The forwarder may have been closed meanwhile; a lost answer is what UDP allows.
    if (query === null || answer === null || !this.#tcp.listening) return;
    this.#udp.send(fitUdp(answer, query), from.port, from.address);
  }

  #onConnection(socket: Socket): void {
    const client = socket.remoteAddress ?? "";
    if (this.#options.client(client) === null || !take(this.#connected, client, MAX_CONNECTIONS_PER_CLIENT)) {
      socket.destroy();
      return;
    }
    this.#connections.add(socket);
    socket.on("close", () => {
      this.#connections.delete(socket);
      give(this.#connected, client);
    });
    socket.on("error", () => socket.destroy());
    socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
    const messages = new DnsMessageReader();
    socket.on("data", (chunk: Buffer) => {
      for (const message of messages.push(chunk)) void this.#onMessage(socket, message, client);
    });
  }

  async #onMessage(socket: Socket, bytes: Buffer, client: string): Promise<void> {
    const query = parseQuery(bytes);
    const answer = query === null ? null : await this.#answer(query, client, askOverTcp);
    if (answer === null || socket.writableLength > MAX_UNREAD_BYTES) socket.destroy();
    else if (!socket.destroyed) socket.write(frameDnsMessage(answer));
  }

  /** @returns null when the client has gone, or has too many questions under way */
  async #answer(query: DnsQuery, client: string, ask: AskUpstream): Promise<Buffer | null> {
    if (!take(this.#asking, client, MAX_PER_CLIENT)) return null;
    try {
      const who = this.#options.client(client);
      if (who === null) return null;
      if (who !== "open") return await this.#listed.answer(query, who);
      for (const server of await this.#options.resolvers()) {
        const answer = await ask(server, query);
        if (answer !== null) return answer;
      }
      return localAnswer(query, "SERVFAIL");
    } finally {
      give(this.#asking, client);
    }
  }
}

function take(counts: Map<string, number>, client: string, limit: number): boolean {
  const count = counts.get(client) ?? 0;
  if (count >= limit) return false;
  counts.set(client, count + 1);
  return true;
}

function give(counts: Map<string, number>, client: string): void {
  const count = (counts.get(client) ?? 1) - 1;
  if (count <= 0) counts.delete(client);
  else counts.set(client, count);
}
