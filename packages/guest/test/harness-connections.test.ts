import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { freePort } from "@aegis/sdk/test/free-port";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Message, portOf, readAll, type TestControl, TestHarness } from "./harness-client.ts";

let harness: TestHarness;
const servers: Server[] = [];

beforeEach(async () => {
  harness = await TestHarness.start();
});
afterEach(async () => {
  for (const server of servers.splice(0)) server.close();
  await harness.stop();
});

async function serve(host: string, take: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, take);
  servers.push(server);
  server.listen(0, host);
  await once(server, "listening");
  return portOf(server);
}

test.each(["127.0.0.1", "::1"])("a port on %s is dialled, each direction ends by itself", async (host) => {
  const port = await serve(host, (socket) => {
    void readAll(socket).then((text) => socket.end(`got ${text.length}`));
  });
  const { socket, reply } = await harness.dial({ kind: "port", port });
  expect(reply).toEqual({ ok: true });
  socket.end(Buffer.alloc(3_000_000));
  expect(await readAll(socket)).toBe("got 3000000");
});

test("a server that ends first still gets the rest", async () => {
  let received = Promise.resolve("");
  const port = await serve("127.0.0.1", (socket) => {
    received = readAll(socket);
    socket.end("bye");
  });
  const { socket } = await harness.dial({ kind: "port", port });
  expect(await readAll(socket)).toBe("bye");
  socket.end("late");
  await once(socket, "close");
  await expect.poll(() => received).toBe("late");
});

test("a fast server is held back by a slow host", async () => {
  let sent = 0;
  const block = Buffer.alloc(65536);
  const port = await serve("127.0.0.1", (socket) => {
    const push = () => {
      while (sent < 100_000_000 && !socket.destroyed) {
        sent += block.length;
        if (!socket.write(block)) return;
      }
      socket.end();
    };
    socket.on("drain", push).on("error", () => socket.destroy());
    push();
  });
  const { socket } = await harness.dial({ kind: "port", port });
  await (await harness.exec(["sleep", "0.5"])).exit();
  expect(sent).toBeLessThan(50_000_000);
  socket.destroy();
});

test("a port where nobody listens is refused", async () => {
  const { reply } = await harness.dial({ kind: "port", port: await freePort() });
  expect(reply).toMatchObject({ ok: false, code: "connection_refused" });
});

async function runWithBinding(control: TestControl): Promise<{ api: number; binding: number }> {
  const [api, binding] = [await freePort(), await freePort()];
  await control.run(["sleep", "70"], { guest_api_port: api, bindings: [{ name: "llm", port: binding }] });
  return { api, binding };
}

const isOpen = (message: Message) => message.method === "stream.open";

test("the Guest API's port and socket and the bindings reach the host with the newest token", async () => {
  const control = await harness.control();
  const { api, binding } = await runWithBinding(control);
  await control.call("token", { token: "token-2" });
  const places = [
    [() => connect(api, "127.0.0.1"), { kind: "guest_api" }],
    [() => connect(harness.guestSocket), { kind: "guest_api" }],
    [() => connect(binding, "127.0.0.1"), { kind: "binding", binding: "llm" }],
  ] as const;
  for (const [dial, target] of places) {
    const client = dial();
    client.end("ping");
    const request = await control.until(isOpen);
    expect(request.params).toEqual({ stream_id: expect.any(String), token: "token-2", ...target });
    control.messages.splice(control.messages.indexOf(request), 1);
    const { socket, reply } = await harness.dial({ kind: "accept", stream_id: String(request.params?.["stream_id"]) });
    expect(reply).toEqual({ ok: true });
    expect(await readAll(socket)).toBe("ping");
    socket.end("pong");
    expect(await readAll(client)).toBe("pong");
  }
});

test("a refusal is an HTTP answer, also to a client that is still sending", async () => {
  const control = await harness.control();
  const { api } = await runWithBinding(control);
  const client = connect(api, "127.0.0.1");
  client.write(`POST / HTTP/1.1\r\ncontent-length: 300000\r\n\r\n${"x".repeat(300000)}`);
  const request = await control.until(isOpen);
  control.notify("stream.refused", { stream_id: request.params?.["stream_id"], error: "not now" });
  const answer = await readAll(client);
  expect(answer).toMatch(/^HTTP\/1\.1 503 /);
  expect(JSON.parse(answer.split("\r\n\r\n")[1] ?? "")).toEqual({ error: "not now", code: "unavailable" });
});

test("a connection that comes while no host is there is told to the next one", async () => {
  const first = await harness.control();
  const { api } = await runWithBinding(first);
  first.socket.destroy();
  await first.closed;
  const client = connect(api, "127.0.0.1");
  client.end("ping");
  await once(client, "connect");
  const second = await harness.control();
  const request = await second.until(isOpen);
  const { socket } = await harness.dial({ kind: "accept", stream_id: String(request.params?.["stream_id"]) });
  expect(await readAll(socket)).toBe("ping");
  socket.end();
});

test("a connection that waits is told again when there is a new token, with that", async () => {
  const first = await harness.control();
  const { api } = await runWithBinding(first);
  const client = connect(api, "127.0.0.1");
  client.end("ping");
  const before = await first.until(isOpen);
  await first.call("token", { token: "token-2" });
  const request = await first.until((message) => isOpen(message) && message.params?.["token"] === "token-2");
  expect(request.params?.["stream_id"]).toBe(before.params?.["stream_id"]);
  const { socket } = await harness.dial({ kind: "accept", stream_id: String(request.params?.["stream_id"]) });
  expect(await readAll(socket)).toBe("ping");
  socket.end();
});

test("unknown stream ids are refused", async () => {
  const { reply } = await harness.dial({ kind: "accept", stream_id: "nobody" });
  expect(reply).toMatchObject({ ok: false, code: "unknown_stream" });
});

test("without a host a connection gets a 503 after the wait", async () => {
  const control = await harness.control();
  const { api } = await runWithBinding(control);
  const answer = await readAll(connect(api, "127.0.0.1"));
  expect(answer).toMatch(/^HTTP\/1\.1 503 /);
});

test("the 257th waiting connection is refused at once", async () => {
  const control = await harness.control();
  const { api } = await runWithBinding(control);
  const waiting = Array.from({ length: 256 }, () => connect(api, "127.0.0.1").on("error", () => undefined));
  await control.until(() => control.messages.filter(isOpen).length === 256);
  expect(await readAll(connect(api, "127.0.0.1"))).toContain("256 connections");
  for (const client of waiting) client.destroy();
});

test("a binding port that is taken is an error that names it", async () => {
  const taken = await serve("127.0.0.1", (socket) => socket.destroy());
  const control = await harness.control();
  const { error } = await control.run(["true"], {
    guest_api_port: await freePort(),
    bindings: [{ name: "llm", port: taken }],
  });
  expect(error?.message).toContain(`Port ${taken} for the binding "llm"`);
});
