import { once } from "node:events";
import net from "node:net";
import { buffer, text } from "node:stream/consumers";
import { afterEach, expect, it } from "vitest";
import { splice } from "../../src/ingress/splice.ts";

const opened: { destroy(): void }[] = [];

afterEach(() => {
  for (const each of opened.splice(0)) each.destroy();
});

/** A client and a server, joined through a splice in the middle. */
async function joined(): Promise<{ client: net.Socket; server: net.Socket; middle: [net.Socket, net.Socket] }> {
  const [client, one] = await pair();
  const [two, server] = await pair();
  splice(one, two);
  return { client, server, middle: [one, two] };
}

async function pair(): Promise<[net.Socket, net.Socket]> {
  const listener = net.createServer({ allowHalfOpen: true });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as net.AddressInfo;
  const near = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const [[far]] = (await Promise.all([once(listener, "connection"), once(near, "connect")])) as [[net.Socket], unknown];
  listener.close();
  for (const socket of [near, far]) socket.on("error", () => socket.destroy());
  opened.push(near, far);
  return [near, far];
}

/** not `once`, which fails when an error comes first */
const closing = (socket: net.Socket) => new Promise<void>((resolve) => socket.once("close", () => resolve()));

it("passes each end of writing on by itself, and closes when both have ended", async () => {
  const { client, server, middle } = await joined();
  const closed = Promise.all(middle.map(closing));
  client.end("question");
  expect(await text(server)).toBe("question");
  server.end("answer");
  expect(await text(client)).toBe("answer");
  await closed;
});

it("delivers everything to a side that reads only after the other has gone", async () => {
  const { client, server } = await joined();
  const bytes = Buffer.alloc(8 * 1024 * 1024, "x");
  server.end();
  client.end(bytes);
  client.resume();
  expect((await buffer(server)).equals(bytes)).toBe(true);
});

it.each(["client", "server"] as const)("takes the other side along when the %s vanishes", async (who) => {
  const ends = await joined();
  const other = who === "client" ? ends.server : ends.client;
  const closed = Promise.all([...ends.middle, other].map(closing));
  other.write("still talking");
  other.once("end", () => other.end()).resume();
  ends[who].resetAndDestroy();
  await closed;
  expect(other.destroyed).toBe(true);
});
