import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { decode, encode, streamDecode, streamEncode, type Answer, type Packet } from "dns-packet";

/**
 * A name server over UDP and TCP that knows a few names: IPv4 addresses, or another name that it is an alias of. An
 * alias is followed in the same answer, unless it is written with a dot at its end.
 */
export class TestResolver {
  readonly address: string;
  readonly port: number;
  readonly #names: Map<string, string[]>;
  /** every question, as in `A one.test` */
  readonly asked: string[] = [];
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
    if (question !== undefined) this.asked.push(`${question.type} ${question.name}`);
    return {
      type: "response",
      id: query.id ?? 0,
      flags: 0x180,
      questions: query.questions ?? [],
      answers: question?.type === "A" ? this.#records(question.name) : [],
    };
  }

  #records(name: string): Answer[] {
    return (this.#names.get(name) ?? []).flatMap((data): Answer[] => {
      if (/^[\d.]+$/.test(data)) return [{ type: "A", name, ttl: 1, data }];
      const target = data.replace(/\.$/, "");
      return [{ type: "CNAME", name, ttl: 1, data: target }, ...(target === data ? this.#records(target) : [])];
    });
  }

  /** From now on the name means something else. */
  set(name: string, values: string[]): void {
    this.#names.set(name, values);
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
