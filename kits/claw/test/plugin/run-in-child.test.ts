import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import type { AddressInfo, Server } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { buffer, text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { WebSocketServer, type WebSocket } from "ws";
import { expect, onTestFinished, test } from "vitest";
import { encodeFrame, encodeTextFrame, FrameDecoder, FrameType } from "@aegis/protocol/exec-frame";

const SCRIPT = fileURLToPath(new URL("../../guest/plugin/run-in-child.pl", import.meta.url));
const MB = 1024 * 1024;

interface Told {
  path: string;
  request: unknown;
  socket: WebSocket;
  /** of what came after the request */
  frame: () => Promise<[FrameType, Buffer]>;
}

/** A Guest API whose only call is an exec. @returns the address */
async function apiThat(serves: (told: Told) => Promise<void> | void): Promise<string> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  onTestFinished(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  server.on("connection", (socket, { url: path = "" }) => {
    const messages = messagesOf(socket);
    const decoder = new FrameDecoder();
    const frames: [FrameType, Buffer][] = [];
    const frame = async (): Promise<[FrameType, Buffer]> => {
      for (;;) {
        const [next] = frames.splice(0, 1);
        if (next !== undefined) return next;
        for (const { type, payload } of decoder.push(await messages())) frames.push([type, Buffer.from(payload)]);
      }
    };
    void messages().then(async (first) => {
      socket.send(JSON.stringify({ exec_id: "e", started_at: "now" }));
      await serves({ path, request: JSON.parse(first.toString()), socket, frame });
    });
  });
  return addressOf(server.address());
}

function messagesOf(socket: WebSocket): () => Promise<Buffer> {
  const came: Buffer[] = [];
  let wake = Promise.withResolvers<void>();
  socket.on("message", (data: Buffer) => {
    came.push(data);
    wake.resolve();
  });
  return async () => {
    while (came.length === 0) {
      wake = Promise.withResolvers();
      await wake.promise;
    }
    return came.shift() ?? Buffer.alloc(0);
  };
}

const addressOf = (address: ReturnType<Server["address"]>) => `127.0.0.1:${(address as AddressInfo).port}`;

function run(api: string, ...words: string[]): ChildProcessWithoutNullStreams {
  const child = spawn("perl", [SCRIPT, api, "inst-1", ...words], { env: { PATH: "/usr/bin:/bin" } });
  child.stdin.on("error", () => undefined);
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

async function endOf(child: ChildProcessWithoutNullStreams) {
  const [stdout, stderr, [code]] = await Promise.all([
    buffer(child.stdout),
    text(child.stderr),
    once(child, "exit") as Promise<[number | null]>,
  ]);
  return { code, stdout, stderr };
}

const exit = (code: number) => encodeTextFrame(FrameType.exit, JSON.stringify({ code, signal: null }));

test("command and environment arrive as they are; outputs and exit code come back", async () => {
  const words = ["/bin/sh", "-c", `echo "ä\\n" 'b' $'\t\n\u0001' 日本`, "--", ""];
  const { promise: told, resolve } = Promise.withResolvers<Told>();
  const api = await apiThat((asked) => {
    resolve(asked);
    asked.socket.send(encodeTextFrame(FrameType.stdout, "out"));
    asked.socket.send(Buffer.concat([encodeTextFrame(FrameType.stderr, "err"), exit(42)]));
  });
  const child = run(api, "A=1=2", "EMPTY=", '"Q"=\\', "--", ...words);
  expect(await endOf(child)).toEqual({ code: 42, stdout: Buffer.from("out"), stderr: "err" });
  expect((await told).path).toBe("/v1/instances/inst-1/exec");
  expect((await told).request).toEqual({ env: { A: "1=2", EMPTY: "", '"Q"': "\\" }, command: words });
});

test("input is passed on as bytes, to its end, and megabytes go both ways at once", async () => {
  const bytes = Buffer.from(Array.from({ length: 5 * MB }, (_, at) => (at * 31 + (at >> 8)) % 256));
  const api = await apiThat(async ({ socket, frame }) => {
    for (let [type, payload] = await frame(); type !== FrameType.stdinEnd; [type, payload] = await frame()) {
      expect(type).toBe(FrameType.stdin);
      for (let start = 0; start < payload.length; start += 1000)
        socket.send(encodeFrame(FrameType.stdout, payload.subarray(start, start + 1000)));
    }
    socket.send(exit(0));
  });
  const child = run(api, "--", "cat");
  child.stdin.end(bytes);
  const { code, stdout } = await endOf(child);
  expect(code).toBe(0);
  expect(stdout.equals(bytes)).toBe(true);
});

test("what nobody reads is not taken from the host, and is whole when somebody does", async () => {
  const many = Buffer.alloc(64 * 1024, "x");
  const COUNT = 1000;
  let taken = 0;
  const { promise: stuck, resolve } = Promise.withResolvers<void>();
  const api = await apiThat(async ({ socket }) => {
    const send = () => new Promise<void>((done) => socket.send(encodeFrame(FrameType.stdout, many), () => done()));
    for (let count = 0; count < COUNT; count++) {
      const sent = send();
      // the kernel's buffers are full when nothing goes on for a while
      if ((await Promise.race([sent, delay(300, "waits")])) === "waits") resolve();
      await sent;
      taken += many.length;
    }
    resolve();
    socket.send(exit(0));
  });
  const child = run(api, "--", "yes");
  await stuck;
  expect(taken).toBeLessThan((COUNT * many.length) / 2);
  const { code, stdout } = await endOf(child);
  expect([code, stdout.length]).toEqual([0, COUNT * many.length]);
});

test("signals reach the command, and its end by one is this one's exit code", async () => {
  const { promise: signalled, resolve } = Promise.withResolvers<void>();
  const api = await apiThat(async ({ socket, frame }) => {
    socket.send(encodeTextFrame(FrameType.stdout, "ready"));
    const [, first] = await frame();
    resolve();
    const [, second] = await frame();
    socket.send(encodeTextFrame(FrameType.stdout, ` ${String(first)} ${String(second)}`));
    socket.send(exit(143));
  });
  const child = run(api, "--", "sleep", "60");
  await once(child.stdout, "readable");
  child.kill("SIGINT");
  // one kind of signal may come before another that was sent first
  await signalled;
  child.kill("SIGTERM");
  expect(await endOf(child)).toEqual({ code: 143, stdout: Buffer.from("ready SIGINT SIGTERM"), stderr: "" });
});

test("when it is killed, or nobody takes its output any more, the command's connection ends", async () => {
  for (const end of [
    (child: ChildProcessWithoutNullStreams) => void child.kill("SIGKILL"),
    (child: ChildProcessWithoutNullStreams) => void child.stdout.destroy(),
  ]) {
    const { promise: closed, resolve } = Promise.withResolvers<number>();
    const api = await apiThat(({ socket }) => {
      const talking = setInterval(() => socket.send(encodeTextFrame(FrameType.stdout, "more")), 5);
      socket.on("close", (code) => {
        clearInterval(talking);
        resolve(code);
      });
    });
    const child = run(api, "--", "yes");
    await once(child.stdout, "readable");
    end(child);
    // of a connection that ends without a word
    expect(await closed).toBe(1006);
  }
});

test("a refusal is told in the host's words, a cut is told after what was printed", async () => {
  const refused = await apiThat(({ socket }) => {
    socket.send(JSON.stringify({ error: 'inst-1 is "stopped":\nstart it', code: "wrong_state" }));
    socket.close(1011);
  });
  expect(await endOf(run(refused, "--", "true"))).toMatchObject({
    code: 1,
    stderr: 'inst-1 is "stopped":\nstart it\n',
  });
  const cut = await apiThat(({ socket }) => {
    socket.send(encodeTextFrame(FrameType.stdout, "half"));
    setImmediate(() => socket.terminate());
  });
  const { code, stdout, stderr } = await endOf(run(cut, "--", "true"));
  expect([code, String(stdout)]).toEqual([1, "half"]);
  expect(stderr).toMatch(/^the command was cut off before it ended/);
});

test("an instance that has ended just then is started for it, once", async () => {
  const calls: string[] = [];
  const server = createHttpServer((request, response) => {
    calls.push(`${request.method} ${request.url}`);
    response.end("{}");
  });
  const sockets = new WebSocketServer({ server });
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => {
    for (const client of sockets.clients) client.terminate();
    server.close();
  });
  let execs = 0;
  let comesUp = true;
  sockets.on("connection", (socket) => {
    execs += 1;
    if (calls.length === 0 || !comesUp) socket.send(JSON.stringify({ error: "inst-1 is failed", code: "wrong_state" }));
    else socket.send(exit(7));
  });
  expect(await endOf(run(addressOf(server.address()), "A=b", "--", "true"))).toMatchObject({ code: 7, stderr: "" });
  expect({ calls, execs }).toEqual({ calls: ["POST /v1/instances/inst-1/start"], execs: 2 });
  comesUp = false;
  expect(await endOf(run(addressOf(server.address()), "--", "true"))).toMatchObject({
    code: 1,
    stderr: "inst-1 is failed\n",
  });
  expect(execs).toBe(4);
});

test("a refusal that arrives in pieces is read to its end, so that the instance is started for it too", async () => {
  const body = JSON.stringify({ error: "inst-1 is stopped", code: "wrong_state" });
  const started: string[] = [];
  const server = createHttpServer((request, response) => {
    started.push(`${request.method} ${request.url}`);
    response.end("{}");
  });
  const sockets = new WebSocketServer({ noServer: true });
  server.on("upgrade", (request, socket, head) => {
    if (started.length > 0) return sockets.handleUpgrade(request, socket, head, (client) => client.send(exit(7)));
    const [first, last] = [body.slice(0, -15), body.slice(-15)];
    // with the reason in it and without what makes it worth another try
    socket.write(`HTTP/1.1 409 Conflict\r\nContent-Length: ${body.length}\r\n\r\n${first}`);
    setTimeout(() => socket.end(last), 100);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => {
    for (const client of sockets.clients) client.terminate();
    server.close();
  });
  expect(await endOf(run(addressOf(server.address()), "--", "true"))).toMatchObject({ code: 7, stderr: "" });
  expect(started).toEqual(["POST /v1/instances/inst-1/start"]);
});

test("a refusal without a length is whole when the host has closed", async () => {
  const server = createHttpServer().on("upgrade", (_request, socket) => {
    socket.write("HTTP/1.1 503 Service Unavailable\r\n\r\n");
    setTimeout(() => socket.end(JSON.stringify({ error: "come back later", code: "unavailable" })), 100);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => void server.close());
  expect(await endOf(run(addressOf(server.address()), "--", "true"))).toMatchObject({
    code: 1,
    stderr: "come back later\n",
  });
});

test("a host that takes no WebSocket says why, and one that is not there is told", async () => {
  const server = createHttpServer().on("upgrade", (_request, socket) => {
    const body = JSON.stringify({ error: "256 connections wait already", code: "unavailable" });
    socket.end(`HTTP/1.1 503 Service Unavailable\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => void server.close());
  const busy = await endOf(run(addressOf(server.address()), "--", "true"));
  expect(busy).toMatchObject({ code: 1, stderr: "256 connections wait already\n" });
  const nobody = await endOf(run("127.0.0.2:1", "--", "true"));
  expect(nobody.code).not.toBe(0);
  expect(nobody.stderr).toMatch(/cannot be reached/);
});
