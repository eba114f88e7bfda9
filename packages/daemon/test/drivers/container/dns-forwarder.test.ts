import { once } from "node:events";
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { decode, encode, streamDecode, streamEncode, type Packet } from "dns-packet";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DnsForwarder, type DnsForwarderOptions } from "../../../src/drivers/linux/dns/dns-forwarder.ts";
import type { ResolverAddress } from "../../../src/drivers/linux/dns/dns-upstream.ts";
import { TestResolver } from "./test-resolver.ts";

/** Nobody else listens there: a port that is free for UDP is so for TCP. */
const LOOPBACK = "127.0.53.7";
const query = (name: string, udpPayloadSize?: number): Buffer =>
  encode({
    type: "query",
    id: 4711,
    flags: 0x100,
    questions: [{ type: "A", name, class: "IN" }],
    additionals:
      udpPayloadSize === undefined
        ? []
        : [
            {
              type: "OPT",
              name: ".",
              udpPayloadSize,
              extendedRcode: 0,
              ednsVersion: 0,
              flags: 0,
              flag_do: false,
              options: [],
            },
          ],
  });

async function freePort(): Promise<number> {
  const socket = createSocket("udp4").bind(0, LOOPBACK);
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  return port;
}

async function askUdp(port: number, bytes: Buffer): Promise<Packet> {
  const socket = createSocket("udp4");
  socket.send(bytes, port, LOOPBACK);
  const [answer] = (await once(socket, "message")) as [Buffer];
  socket.close();
  return decode(answer);
}

async function askTcp(port: number, packet: Packet): Promise<Packet> {
  const socket = connect(port, LOOPBACK);
  const bytes = streamEncode(packet);
  // In pieces, as a network may deliver it.
  socket.write(bytes.subarray(0, 1));
  socket.write(bytes.subarray(1, 9));
  socket.write(bytes.subarray(9));
  const chunks: Buffer[] = [];
  for await (const chunk of socket) {
    chunks.push(chunk as Buffer);
    const all = Buffer.concat(chunks);
    if (all.length >= 2 && all.length >= all.readUInt16BE(0) + 2) break;
  }
  return streamDecode(Buffer.concat(chunks));
}

describe("dns forwarder", () => {
  const many = Array.from({ length: 100 }, (_, number) => `192.0.2.${number}`);
  let upstream: TestResolver;
  let forwarder: DnsForwarder;
  let port: number;
  let resolvers: ResolverAddress[];
  let client: DnsForwarderOptions["client"];

  beforeEach(async () => {
    upstream = new TestResolver(LOOPBACK, await freePort(), { "one.test": ["192.0.2.1"], "many.test": many });
    await upstream.start();
    port = await freePort();
    resolvers = [upstream];
    client = () => "open";
    forwarder = new DnsForwarder({
      address: LOOPBACK,
      port,
      client: (address) => client(address),
      resolvers: async () => resolvers,
    });
    await forwarder.start();
  });

  afterEach(async () => {
    await forwarder.close();
    await upstream.stop();
  });

  it("answers with what the host's resolver says, under the client's id", async () => {
    const answer = await askUdp(port, query("one.test"));
    expect(answer).toMatchObject({ id: 4711, type: "response", answers: [{ data: "192.0.2.1" }] });
  });

  it("asks the next resolver when one does not answer", async () => {
    resolvers = [{ address: LOOPBACK, port: await freePort() }, upstream];
    expect((await askUdp(port, query("one.test"))).answers).toHaveLength(1);
  });

  it("says SERVFAIL when no resolver answers, or there is none", async () => {
    resolvers = [{ address: LOOPBACK, port: await freePort() }];
    expect(await askUdp(port, query("one.test"))).toMatchObject({
      id: 4711,
      rcode: "SERVFAIL",
      questions: [{ name: "one.test" }],
    });
    resolvers = [];
    expect(await askUdp(port, query("one.test"))).toMatchObject({ rcode: "SERVFAIL" });
  });

  it("marks an answer as cut when it is too long for the client, which gets all of it over TCP", async () => {
    const cut = await askUdp(port, query("many.test"));
    expect(cut).toMatchObject({ flag_tc: true, questions: [{ name: "many.test" }] });
    expect(cut.answers ?? []).toHaveLength(0);
    expect((await askUdp(port, query("many.test", 4096))).answers).toHaveLength(100);
    expect((await askTcp(port, decode(query("many.test")))).answers).toHaveLength(100);
  });

  it("survives what is no question, and goes on answering", async () => {
    const socket = createSocket("udp4");
    const answerBits = encode({ type: "response", id: 1, questions: [{ type: "A", name: "one.test" }] });
    for (const bytes of [Buffer.alloc(0), Buffer.from("x"), Buffer.alloc(12), Buffer.alloc(600, 0xff), answerBits])
      await new Promise((sent) => socket.send(bytes, port, LOOPBACK, sent));
    socket.close();
    expect((await askUdp(port, query("one.test"))).answers).toHaveLength(1);
  });

  it("closes the connection of one who sends rubbish over TCP", async () => {
    const socket = connect(port, LOOPBACK);
    socket.on("error", () => undefined);
    socket.write(Buffer.from([0, 4, 1, 2, 3, 4]));
    await once(socket.resume(), "close");
    expect((await askTcp(port, decode(query("one.test")))).answers).toHaveLength(1);
  });

  it("answers nobody but instances", async () => {
    client = () => null;
    const socket = connect(port, LOOPBACK);
    socket.on("error", () => undefined);
    await once(socket.resume(), "close");
    const stranger = createSocket("udp4");
    let answered = false;
    stranger.on("message", () => (answered = true));
    const looked = new Promise<void>((resolve) => {
      client = () => {
        resolve();
        return null;
      };
    });
    stranger.send(query("one.test"), port, LOOPBACK);
    await looked;
    client = () => "open";
    await askUdp(port, query("one.test"));
    expect(answered).toBe(false);
    stranger.close();
  });
});
