import { once } from "node:events";
import net from "node:net";
import { duplexPair } from "node:stream";
import { text } from "node:stream/consumers";
import { expect, it, onTestFinished } from "vitest";
import { OpenConnection } from "../../src/core/open-connection.ts";
import { ConnectionQuota, quotaFor } from "../../src/ingress/connection-quota.ts";
import { PublicPorts } from "../../src/ingress/public-ports.ts";
import { previewFixture } from "./preview-fixture.ts";

const awake = { hold: () => () => undefined, touch: () => undefined, nudge: () => undefined };

async function dial(port: number): Promise<net.Socket> {
  const socket = net.connect(port, "127.0.0.1").on("error", () => undefined);
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  return socket;
}

const isClosed = async (socket: net.Socket): Promise<true> => {
  socket.resume();
  if (!socket.closed) await once(socket, "close");
  return true;
};

/** Ports of instances whose servers say hello and then wait. */
async function greetingPorts(quota: { each: number; all: number }, instances: string[]) {
  const warnings: string[] = [];
  const connect = async (id: string): Promise<OpenConnection> => {
    const [outer, inside] = duplexPair();
    inside.write(`hello from ${id}`);
    inside.resume().once("end", () => inside.end());
    return new OpenConnection(outer, "tcp", awake);
  };
  const ports = new PublicPorts({ connect }, new ConnectionQuota(quota, (warning) => void warnings.push(warning)));
  onTestFinished(() => ports.closeAll());
  const endpoint = { guestPort: 80, publicPort: null, protocol: "tcp" } as const;
  const numbers: number[] = [];
  for (const id of instances) numbers.push(await ports.open(id, endpoint));
  const greeted = async (at: number): Promise<net.Socket> => {
    const socket = await dial(numbers[at] ?? 0);
    const closed = once(socket, "close").then(() => ["nothing"]);
    expect(String((await Promise.race([once(socket, "data"), closed]))[0])).toBe(`hello from ${instances[at]}`);
    return socket;
  };
  return { greeted, refused: async (at: number) => isClosed(await dial(numbers[at] ?? 0)), warnings };
}

it("an instance has so many visitors, over all its ports, and the others have room", async () => {
  const { greeted, refused, warnings } = await greetingPorts({ each: 2, all: 10 }, ["a", "a", "b"]);
  const first = await greeted(0);
  await greeted(1);
  await Promise.all([refused(0), refused(1), refused(0)]);
  await greeted(2);
  expect(warnings).toEqual([expect.stringMatching(/^a has 2 connections from outside/)]);
  first.destroy();
  await expect.poll(() => greeted(0).then(Boolean, () => false)).toBe(true);
});

it("all together have so many", async () => {
  const { greeted, refused } = await greetingPorts({ each: 2, all: 3 }, ["a", "b"]);
  await Promise.all([greeted(0), greeted(0), greeted(1)]);
  expect(await refused(1)).toBe(true);
});

it.each([
  [1_024, { each: 192, all: 384 }],
  [20_000, { each: 3_750, all: 7_500 }],
  [1_048_576, { each: 4_096, all: 16_384 }],
])("of %d descriptors a quarter is for all the rest", (descriptors, quota) => {
  expect(quotaFor(descriptors)).toEqual(quota);
});

it("the router waits for nobody who says nothing, or says it slowly, and serves others meanwhile", async () => {
  const fixture = await previewFixture();
  const preview = await fixture.create();
  const sockets = await Promise.all(Array.from({ length: 60 }, () => dial(fixture.port)));
  for (const slow of sockets.slice(0, 30)) slow.write("GET / HTTP/1.1\r\nHost: a.localhost\r\nX: ");
  const answers = sockets.map((socket) => text(socket).catch(() => ""));
  expect((await fixture.open(preview.url)).status).toBe(200);
  for (const answer of await Promise.all(answers)) expect(answer).toMatch(/^(HTTP\/1.1 408 |$)/);
  expect((await fixture.open(preview.url)).status).toBe(200);
});

it("the router takes as many connections as it may, and no more", async () => {
  const fixture = await previewFixture();
  const preview = await fixture.create();
  const sockets = await Promise.all(Array.from({ length: 150 }, () => dial(fixture.port)));
  const closed = () => sockets.filter((socket) => socket.resume().closed).length;
  await expect.poll(closed).toBe(50);
  sockets.forEach((socket) => socket.destroy());
  await expect
    .poll(() =>
      fixture.open(preview.url).then(
        ({ status }) => status,
        () => 0,
      ),
    )
    .toBe(200);
});

it("headers without end are refused by the router before they are kept", async () => {
  const fixture = await previewFixture();
  const socket = await dial(fixture.port);
  const answer = text(socket);
  socket.write(`GET / HTTP/1.1\r\nHost: a.localhost\r\n${`X: ${"y".repeat(1000)}\r\n`.repeat(40)}`);
  expect(await answer).toMatch(/^HTTP\/1.1 431 /);
});
