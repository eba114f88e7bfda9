import { duplexPair } from "node:stream";
import { describe, expect, it } from "vitest";
import type { EndpointProtocol } from "@aegis/protocol/instance";
import { OpenConnection } from "../../src/core/open-connection.ts";

function open(protocol: EndpointProtocol) {
  const [stream, guest] = duplexPair();
  const counts = { held: 0, touched: 0, nudged: 0 };
  const connection = new OpenConnection(stream, protocol, {
    hold: () => {
      counts.held += 1;
      return () => void (counts.held -= 1);
    },
    touch: () => void (counts.touched += 1),
    nudge: () => void (counts.nudged += 1),
  });
  stream.resume();
  const fromOutside = (text: string) => connection.fromOutside(Buffer.from(text));
  const fromInside = (text: string) => new Promise<void>((resolve) => guest.write(text, () => setImmediate(resolve)));
  const closed = async () => {
    stream.destroy();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { connection, counts, fromOutside, fromInside, closed };
}

describe("a connection to an HTTP endpoint", () => {
  it("keeps nobody awake before its first bytes", () => {
    expect(open("http").counts).toEqual({ held: 0, touched: 0, nudged: 0 });
  });

  it("does from a request to its answer, each time", async () => {
    const { counts, fromOutside, fromInside } = open("http");
    for (let round = 1; round <= 2; round++) {
      fromOutside("POST /path HTTP/1.1\r\n");
      fromOutside("Host: x\r\n\r\nbody");
      expect(counts).toEqual({ held: 1, touched: round - 1, nudged: 2 * round });
      await fromInside("HTTP/1.1 200 OK\r\n\r\n");
      expect(counts).toEqual({ held: 0, touched: round, nudged: 2 * round });
    }
  });

  it("does not while an answer merely drips, but each drop is a sign of life", async () => {
    const { counts, fromOutside, fromInside } = open("http");
    fromOutside("GET /events HTTP/1.1\r\n\r\n");
    for (let n = 0; n < 3; n++) await fromInside("data: x\n\n");
    expect(counts).toEqual({ held: 0, touched: 3, nudged: 1 });
  });

  it("does until it is closed once it was upgraded", async () => {
    const { counts, fromOutside, fromInside, closed } = open("http");
    fromOutside("GET /socket HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
    await fromInside("HTTP/1.1 101 Switching Protocols\r\n\r\n");
    await fromInside("frame");
    expect(counts.held).toBe(1);
    await closed();
    expect(counts.held).toBe(0);
  });

  it.each(["\u0016\u0003\u0001", "PRI * HTTP/2.0\r\n\r\n", "*1\r\n$4\r\nPING\r\n", "get / x"])(
    "does while it is open when it speaks something else: %j",
    async (bytes) => {
      const { counts, fromOutside, fromInside } = open("http");
      fromOutside(bytes);
      await fromInside("answer");
      expect(counts.held).toBe(1);
    },
  );

  it("does while it is open when the server speaks first", async () => {
    const { counts, fromInside } = open("http");
    await fromInside("220 mail ready\r\n");
    expect(counts.held).toBe(1);
  });

  it("holds nothing any more when it closes in mid request", async () => {
    const { connection, counts, closed } = open("http");
    connection.asked();
    expect(counts.held).toBe(1);
    await closed();
    connection.asked();
    expect(counts.held).toBe(0);
  });
});

it("a connection to a TCP endpoint keeps its instance awake until it is closed", async () => {
  const { counts, fromOutside, fromInside, closed } = open("tcp");
  expect(counts.held).toBe(1);
  fromOutside("GET / HTTP/1.1\r\n\r\n");
  await fromInside("HTTP/1.1 200 OK\r\n\r\n");
  expect(counts).toMatchObject({ held: 1, nudged: 1 });
  await closed();
  expect(counts.held).toBe(0);
});
