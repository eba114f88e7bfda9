import { once } from "node:events";
import net from "node:net";
import { duplexPair, type Duplex } from "node:stream";
import { buffer } from "node:stream/consumers";
import { afterEach, describe, expect, it } from "vitest";
import type { EndpointProtocol } from "@aegis/protocol/instance";
import type { Knock } from "../../src/core/dial-port.ts";
import { OpenConnection } from "../../src/core/open-connection.ts";
import { ConnectionQuota } from "../../src/ingress/connection-quota.ts";
import { PublicPorts } from "../../src/ingress/public-ports.ts";

const awake = { hold: () => () => undefined, touch: () => undefined, nudge: () => undefined };

describe("a client that sends before its way in is open", () => {
  let ports: PublicPorts;
  afterEach(() => ports.closeAll());

  /** @param open is given the knock, the stream to what is inside, and the client */
  async function connect(open: (knock: Knock, outer: Duplex, client: net.Socket) => Promise<void>) {
    const [outer, inside] = duplexPair();
    const target = {
      connect: async (_id: string, { protocol }: { protocol: EndpointProtocol }, knock: Knock) => {
        await open(knock, outer, client);
        return new OpenConnection(outer, protocol, awake);
      },
    };
    ports = new PublicPorts(target, new ConnectionQuota({ each: 10, all: 10 }, () => undefined));
    const port = await ports.open("inst-1", { guestPort: 80, publicPort: null, protocol: "tcp" });
    const client: net.Socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    await once(client, "connect");
    return { client, inside };
  }

  const untilSent = async ({ early }: Knock, text: string): Promise<void> => {
    while (
      !Buffer.from(early?.() ?? [])
        .toString()
        .endsWith(text)
    )
      await new Promise(setImmediate);
  };

  it("is not waited for: its bytes go ahead, and none of them twice", async () => {
    const { client, inside } = await connect(async (knock, outer, caller) => {
      await untilSent(knock, "first ");
      outer.write(knock.early?.() ?? "");
      caller.write("second ");
      caller.end("third");
    });
    client.write("first ");
    const said = buffer(inside);
    expect((await said).toString()).toBe("first second third");
    inside.end("answer");
    expect((await buffer(client)).toString()).toBe("answer");
  });

  it("has them sent again from the beginning with the next attempt", async () => {
    const attempts: string[] = [];
    const { client, inside } = await connect(async (knock, outer, caller) => {
      await untilSent(knock, "one ");
      attempts.push(Buffer.from(knock.early?.() ?? []).toString());
      caller.write("two ");
      await untilSent(knock, "two ");
      attempts.push(Buffer.from(knock.early?.() ?? []).toString());
      outer.write(attempts.at(-1));
      caller.end();
    });
    client.write("one ");
    const said = buffer(inside);
    expect((await said).toString()).toBe("one two ");
    expect(attempts).toEqual(["one ", "one two "]);
    inside.end();
  });

  it("may have sent all and closed its half by then", async () => {
    const { client, inside } = await connect(async (knock, outer, caller) => {
      caller.end("everything");
      await untilSent(knock, "everything");
      outer.write(knock.early?.() ?? "");
      // its end arrives as well, before anybody is there to be told
      for (let turns = 0; turns < 10; turns++) await new Promise(setImmediate);
    });
    const said = buffer(inside);
    inside.end("answer");
    expect((await buffer(client)).toString()).toBe("answer");
    expect((await said).toString()).toBe("everything");
  });

  it("is read no further ahead than a little", async () => {
    const opened = Promise.withResolvers<void>();
    let knocked: Knock = {};
    const { client, inside } = await connect((knock) => {
      knocked = knock;
      return opened.promise;
    });
    const all = Buffer.alloc(8 * 1024 * 1024, "x");
    client.end(all);
    while ((knocked.early?.().length ?? 0) < 64 * 1024) await new Promise(setImmediate);
    for (let turns = 0; turns < 50; turns++) await new Promise(setImmediate);
    const taken = knocked.early?.().length ?? 0;
    expect(taken).toBeLessThan(256 * 1024);
    const said = buffer(inside);
    opened.resolve();
    inside.end();
    expect((await said).length).toBe(all.length - taken);
  });
});
