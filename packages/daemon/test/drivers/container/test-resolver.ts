import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { decode, encode, streamDecode, streamEncode, type Packet } from "dns-packet";

/** A name server over UDP and TCP that knows a few names. */
export class TestResolver {
  readonly address: string;
  readonly port: number;
  readonly #names: Map<string, string[]>;
  readonly #udp = createSocket("udp4");
  readonly #tcp = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (bytes: Buffer) => socket.write(streamEncode(this.#answer(streamDecode(bytes)))));
  });

  constructor(address: string, port: number, names: Record<string, string[]>) {
    this.address = address;
    this.port = port;
    this.#names = new Map(Object.entries(names));
    this.#udp.on("message", (bytes, from) => {
      const answer = encode(this.#answer(decode(bytes)));
      this.#udp.send(answer, from.port, from.address);
    });
  }

  #answer(query: Packet): Packet {
    const [question] = query.questions ?? [];
    const addresses = question?.type === "A" ? (this.#names.get(question.name) ?? []) : [];
    return {
      type: "response",
      id: query.id ?? 0,
      flags: 0x180,
      questions: query.questions ?? [],
      answers: addresses.map((data) => ({ type: "A", name: question?.name ?? "", ttl: 1, data })),
    };
  }

  async start(): Promise<void> {
    this.#udp.bind(this.port, this.address);
    await once(this.#udp, "listening");
    this.#tcp.listen(this.port, this.address);
    await once(this.#tcp, "listening");
  }

  async stop(): Promise<void> {
    this.#udp.close();
    this.#tcp.close();
    await once(this.#tcp, "close");
  }
}
